"""Plain JSON: whether a value can travel and be kept. Imported by every step, so it imports little."""

from __future__ import annotations

import json

from workties.errors import BadMessage

#: Nothing in a message nests deeper than this; deeper JSON is refused before it costs anything.
MAX_DEPTH = 32


def check(value: object, field: str, *, limit: int) -> None:
    """Nothing, if `value` is plain JSON of at most `limit` bytes.

    Raises:
        BadMessage: it cannot be written as JSON, nests too deep, or is too large; names `field`, and which of the
            values in it is to blame, e.g. ``memory.files[2]``.
    """
    if depth(value) > MAX_DEPTH:
        raise BadMessage(f"{field}: expected JSON that nests at most {MAX_DEPTH} levels deep")
    try:
        size = len(json.dumps(value, allow_nan=False, separators=(",", ":")).encode())
    except (TypeError, ValueError) as error:
        raise BadMessage(f"{_blamed(value, field)}: expected plain JSON ({error})") from error
    if size > limit:
        raise BadMessage(f"{field}: expected at most {limit} bytes of JSON, got {size}")


def depth(value: object) -> int:
    """How deep lists and objects nest in `value`, counted at most to one level beyond `MAX_DEPTH`; 0 for a scalar."""
    level, found = [value], 0
    while found <= MAX_DEPTH:
        level = [child for entry in level if isinstance(entry, dict | list | tuple) for child in _children(entry)]
        if not level:
            break
        found += 1
    return found


def _blamed(value: object, field: str) -> str:
    """Where in `value`, which is no plain JSON, the innermost value is that is none."""
    if isinstance(value, dict):
        parts = [(f"{field}.{key}", child) for key, child in value.items()]
    else:
        parts = [(f"{field}[{i}]", child) for i, child in enumerate(value)] if isinstance(value, list | tuple) else []
    for name, child in parts:
        try:
            json.dumps(child, allow_nan=False)
        except (TypeError, ValueError):
            return _blamed(child, name)
    return field


def _children(entry: dict[object, object] | list[object] | tuple[object, ...]) -> list[object]:
    return list(entry.values()) if isinstance(entry, dict) else list(entry)
