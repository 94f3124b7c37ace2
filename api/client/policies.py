"""Policies of steps: as definitions write them, with the names of manifests, and as REST has them, in camelCase.

Names and types are checked here; which values there may be the server says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

#: The fields, and what they hold.
FIELDS: Mapping[str, str] = {
    "retries": "a whole number",
    "retry_on": "a list of texts",
    "exit_codes": "a list of whole numbers",
    "backoff": "a number",
    "backoff_factor": "a number",
    "backoff_most": "a number",
    "jitter": "a number",
    "on_failure": "a text",
    "cleanup": "true or false",
    "timeout": "a number",
    "grace": "a number",
}
#: Most entries of a list.
ENTRIES_LIMIT = 256
#: Beyond it no number makes sense.
_MOST = 1e18


def is_number(value: object) -> bool:
    """Whether a value is a number that JSON knows, of a size that makes sense."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST <= value <= _MOST


def misfit(field: str, value: object) -> str:
    """What was expected of a field that holds `value`; "" if it fits."""
    return "" if _FITS[FIELDS[field]](value) else FIELDS[field]


def to_rest(policy: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as REST takes it."""
    return {
        re.sub(r"_([a-z])", lambda found: found[1].upper(), name): list(value) if isinstance(value, tuple) else value
        for name, value in policy.items()
    }


def from_rest(record: object) -> dict[str, Any]:
    """A policy as REST tells it; empty if it tells none."""
    if not isinstance(record, Mapping):
        return {}
    return {re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name): value for name, value in record.items()}


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and is_number(value)


def _list_of(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and len(value) <= ENTRIES_LIMIT and all(map(fits, value))


_FITS: Mapping[str, Callable[[object], bool]] = {
    "a whole number": _is_whole,
    "a number": is_number,
    "a text": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "a list of texts": _list_of(lambda value: isinstance(value, str)),
    "a list of whole numbers": _list_of(_is_whole),
}
