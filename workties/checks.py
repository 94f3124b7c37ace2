"""Checks of plain JSON values, field by field, with errors that name the field.

Not a schema language: only what the messages of `workties.messages` need, without dependencies, since boards run it.
Every function takes the surrounding object and the name of a field, and returns the checked value or raises
`BadMessage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from workties.errors import BadMessage
from workties.plain import check

T = TypeVar("T")
Body = Mapping[str, Any]


def wrong(field: str, expected: str, value: object) -> BadMessage:
    """The error for `field`: what was expected, and what came (shortened)."""
    try:
        shown = repr(value)
    except ValueError:
        # Whole numbers of more than some thousand digits have no text.
        shown = "a number that is too long to be shown"
    return BadMessage(f"{field}: expected {expected}, got {shown if len(shown) <= 80 else shown[:77] + '...'}")


def text(body: Body, field: str, *, limit: int = 256, empty: bool = False) -> str:
    """A text of at most `limit` characters; an empty one only if `empty`."""
    value = body.get(field)
    if not isinstance(value, str) or len(value) > limit or not (value or empty):
        raise wrong(field, f"a text of up to {limit} characters", value)
    if not _is_unicode(value):
        raise wrong(field, "a text without half surrogate pairs", value)
    return value


def optional_text(body: Body, field: str, *, limit: int = 256) -> str | None:
    """A text, or None where the field is absent or null."""
    return None if body.get(field) is None else text(body, field, limit=limit, empty=True)


def whole(body: Body, field: str, *, least: int = 0, most: int = 2**53) -> int:
    """A whole number from `least` to `most`."""
    value = body.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(field, f"a whole number from {least} to {most}", value)
    return value


def optional_whole(body: Body, field: str, *, least: int = 0, most: int = 2**53) -> int | None:
    """A whole number, or None where the field is absent or null."""
    return None if body.get(field) is None else whole(body, field, least=least, most=most)


def number(body: Body, field: str, *, least: float = 0.0, most: float = 1e18) -> float:
    """A finite number from `least` to `most`, as a float."""
    value = body.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise wrong(field, "a number", value)
    if not least <= value <= most:
        raise wrong(field, f"a number from {least:.12g} to {most:.12g}", value)
    return float(value)


def optional_number(body: Body, field: str, *, least: float = -1e18, most: float = 1e18) -> float | None:
    """A number, or None where the field is absent or null."""
    return None if body.get(field) is None else number(body, field, least=least, most=most)


def is_finite(value: float) -> bool:
    """Whether a number is one; whole numbers are, also those that are too large for a float."""
    return isinstance(value, int) or math.isfinite(value)


def flag(body: Body, field: str) -> bool:
    """True or false."""
    value = body.get(field)
    if not isinstance(value, bool):
        raise wrong(field, "true or false", value)
    return value


def choice(body: Body, field: str, allowed: frozenset[str]) -> str:
    """One of the allowed texts."""
    value = body.get(field)
    if not isinstance(value, str) or value not in allowed:
        raise wrong(field, "one of " + ", ".join(sorted(allowed)), value)
    return value


def mapping(body: Body, field: str) -> Body:
    """An object."""
    value = body.get(field)
    if not isinstance(value, Mapping):
        raise wrong(field, "an object", value)
    return value


def items(body: Body, field: str, build: Callable[[Body], T], *, limit: int) -> tuple[T, ...]:
    """A list of at most `limit` objects, each checked by `build`; an error names the entry's index."""
    value = body.get(field)
    if not isinstance(value, list | tuple) or len(value) > limit:
        raise wrong(field, f"a list of up to {limit} objects", value)
    return tuple(_item(field, index, entry, build) for index, entry in enumerate(value))


def texts(body: Body, field: str, *, limit: int, length: int = 256) -> tuple[str, ...]:
    """A list of at most `limit` texts, each of at most `length` characters; absent or null is an empty list."""
    value = body.get(field)
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > limit:
        raise wrong(field, f"a list of up to {limit} texts", value)
    return tuple(
        text({f"{field}[{i}]": entry}, f"{field}[{i}]", limit=length, empty=True) for i, entry in enumerate(value)
    )


def plain(value: object, field: str, *, limit: int) -> Any:
    """`value` itself if it is plain JSON of at most `limit` bytes.

    Raises:
        BadMessage: it cannot be written as JSON, nests too deep, or is too large.
    """
    check(value, field, limit=limit)
    return value


def _is_unicode(value: str) -> bool:
    """JSON can spell half of a surrogate pair, which UTF-8, and so BSON, cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _item(field: str, index: int, entry: object, build: Callable[[Body], T]) -> T:
    if not isinstance(entry, Mapping):
        raise wrong(f"{field}[{index}]", "an object", entry)
    try:
        return build(entry)
    except BadMessage as error:
        raise BadMessage(f"{field}[{index}].{error.reason}") from error
