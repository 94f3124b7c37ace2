"""The values that a step's properties really have: what was given, in the declared types, and defaults for the rest.

Values come from people and from v1 clients, which send texts for numbers, so a text that spells a value of the declared
type counts as that value. Pure; how references to other steps' outputs are replaced is not decided here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from workties.checks import is_finite
from workties.errors import BadProperties
from workties.manifest import DeclaredProperty

_SHOWN = 60


def fill(declared: Iterable[DeclaredProperty], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every declared property by its name, as given or by default, and what else was given.

    Raises:
        BadProperties: values that do not fit; it has a sentence for each.
    """
    filled, problems = dict(given), []
    for each in declared:
        value = given.get(each.name, each.default)
        try:
            filled[each.name] = convert(value, each.type) if each.name in given else value
        except ValueError as error:
            problems.append(f"Property '{each.name}': {error}")
    if problems:
        raise BadProperties(problems)
    return filled


def fill_declared(declared: Sequence[DeclaredProperty], given: Mapping[str, Any]) -> dict[str, Any]:
    """As `fill`, for those who write a workty: a name that is not declared is a mistake too. Raises `BadProperties`."""
    known = [each.name for each in declared]
    has = f"declared are {', '.join(known)}" if known else "none are declared"
    problems = [f"Property '{name}': unknown; {has}" for name in given if name not in known]
    try:
        filled = fill(declared, given)
    except BadProperties as error:
        problems.extend(error.problems)
    if problems:
        raise BadProperties(problems)
    return filled


def convert(value: Any, kind: str) -> Any:
    """`value` as a value of the type `kind` (text, number, integer, boolean, any). Raises `ValueError`."""
    return _CONVERSIONS[kind](value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("a text", value)
    return json.dumps(value)


def _number(value: Any) -> int | float:
    found = _spelled(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, int | float) or not is_finite(found):
        raise _wrong("a number", value)
    return found


def _integer(value: Any) -> int:
    found = _spelled(value) if isinstance(value, str) else value
    if isinstance(found, float) and found.is_integer():
        return int(found)
    if isinstance(found, bool) or not isinstance(found, int):
        raise _wrong("a whole number", value)
    return found


def _boolean(value: Any) -> bool:
    found = _spelled(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise _wrong("true or false", value)
    return found


def _spelled(text: str) -> Any:
    """The JSON value that `text` spells, None if it spells none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _wrong(expected: str, value: Any) -> ValueError:
    shown = json.dumps(value, default=repr)
    return ValueError(f"expected {expected}, got {shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + '...'}")


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "text": _text,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "any": lambda value: value,
}
