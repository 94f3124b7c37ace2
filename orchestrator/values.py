"""Checks of the values of an entity that a client sends, with the contract's sentences for what is wrong.

`required` and `changes` are asked before it is looked up what exists; the other problems are collected on the way and
raised by `done` afterwards, which is the contract's order of checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, TypeGuard

from bson import ObjectId

from orchestrator.errors import NotFound, NothingToUpdate, ValidationFailed
from workties import checks
from workties.errors import BadMessage
from workties.messages import MAX_PROPERTY_BYTES

NAME_LIMIT = 256
TEXT_LIMIT = 4096

_ID = re.compile(r"[0-9a-fA-F]{24}")
_INT64 = 2**63
#: What JSON knows and the database does not.
UNSTORABLE = "texts must be valid Unicode, whole numbers fit 64 bits, and no key may be '$ref' or have a NUL"


def is_id(text: object) -> TypeGuard[str]:
    """Whether `text` spells an id."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def object_id(text: object) -> ObjectId:
    """The id that `text` spells. Raises `NotFound` for another text: what has no id does not exist."""
    if not is_id(text):
        raise NotFound
    return ObjectId(text)


def is_empty(value: object) -> bool:
    """Whether a required field with this value counts as missing."""
    return value is None or (isinstance(value, str) and not value.strip())


class Values:
    """The values that a client sent for one entity."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._problems: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._body

    def required(self, *names: str) -> None:
        """Raises `ValidationFailed` with every one of the fields that is missing or empty."""
        missing = [f"Path `{name}` is required." for name in names if is_empty(self._body.get(name))]
        if missing:
            raise ValidationFailed(missing)

    def changes(self, *allowed: str, required: tuple[str, ...] = ()) -> None:
        """Raises `NothingToUpdate` without any of the fields, `ValidationFailed` if one of `required` is emptied."""
        if not any(name in self._body for name in allowed):
            raise NothingToUpdate(allowed)
        self.required(*(name for name in required if name in self._body))

    def raw(self, name: str) -> Any:
        """A value as it was sent, unchecked; None if it was not."""
        return self._body.get(name)

    def id(self, name: str) -> ObjectId:
        """An id. One that is malformed is one that does not exist: raises `NotFound`."""
        return object_id(self._body.get(name))

    def text(self, name: str, *, limit: int = NAME_LIMIT) -> str:
        """A text of at most `limit` characters; absent or null is empty."""
        value = self._body.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or not encodable(value):
            self.wrong(f"Path `{name}` is not a text.")
            return ""
        if len(value) > limit:
            self.wrong(f"Path `{name}` is longer than the maximum allowed length ({limit}).")
        return value

    def texts(self, name: str, default: list[str]) -> list[str]:
        """A list of texts, or one text for a list of one; absent or null is `default`."""
        value = self._body.get(name)
        if value is None:
            return default
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(text, str) and encodable(text) for text in found):
            self.wrong(f"Path `{name}` is not a list of texts.")
            return default
        return found

    def ids(self, name: str) -> list[ObjectId]:
        """A list of ids; absent or null is empty."""
        value = self._body.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(is_id(text) for text in value):
            self.wrong(f"Path `{name}` is not a list of ids.")
            return []
        return [ObjectId(text) for text in value]

    def flag(self, name: str, default: bool) -> bool:
        """True or false; absent or null is `default`."""
        value = self._body.get(name)
        if value is not None and not isinstance(value, bool):
            self.wrong(f"Path `{name}` is not true or false.")
        return value if isinstance(value, bool) else default

    def decimal(self, name: str, *, places: int, most: int) -> Decimal:
        """A number from 0 to `most` with at most so many decimal places; absent or null is 0."""
        value = self._body.get(name)
        if value is None:
            return Decimal(0)
        if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and isfinite(value))):
            self.wrong(f"Path `{name}` is not a number.")
            return Decimal(0)
        # By its text: what the client wrote as 1.1 is 1.1, and not the nearest binary fraction.
        number = Decimal(str(value))
        if number < 0:
            self.wrong(f"Path `{name}` ({value}) is less than minimum allowed value (0).")
        elif number > most:
            self.wrong(f"Path `{name}` ({value}) is more than maximum allowed value ({most}).")
        elif number != round(number, places):
            self.wrong(f"Path `{name}` ({value}) has more than the allowed number of decimal places ({places}).")
        return number

    def json(self, name: str) -> Any:
        """Any JSON value that can be stored and sent to a board."""
        value = self._body.get(name)
        try:
            checks.plain(value, name, limit=MAX_PROPERTY_BYTES)
        except BadMessage as error:
            self.wrong(f"Path `{name}` cannot be stored: {error.reason}.")
            return None
        if not storable(value):
            self.wrong(f"Path `{name}` cannot be stored: {UNSTORABLE}.")
        return value

    def wrong(self, problem: str) -> None:
        """Note a problem."""
        self._problems.append(problem)

    @property
    def sound(self) -> bool:
        """Whether no problem was noted so far."""
        return not self._problems

    def done(self) -> None:
        """Raises `ValidationFailed` with all problems noted."""
        if self._problems:
            raise ValidationFailed(self._problems)


def encodable(text: str) -> bool:
    """Whether a text can be stored and sent: JSON also knows halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def storable(value: Any) -> bool:
    """Whether the database can hold a JSON value as it is."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, int):
        return -_INT64 <= value < _INT64
    if isinstance(value, list):
        return all(storable(entry) for entry in value)
    if isinstance(value, dict):
        return all(_storable_key(key) and storable(entry) for key, entry in value.items())
    return True


def _storable_key(key: str) -> bool:
    # The driver reads an object with $ref as a reference, not as what was stored.
    return encodable(key) and "\0" not in key and key != "$ref"
