"""Where an instance goes in a workflow's order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from orchestrator.errors import BadParameter

#: The parameters that name a place, the one that wins first.
POSITION = ("position_type", "position_index", "position_id")


@dataclass(frozen=True, slots=True)
class Position:
    """A place as the client named it. A kind wins over an index, and an index over an id; none is the end."""

    kind: object = None
    index: object = None
    id: object = None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Position:
        """The place that the parameters name."""
        return cls(*(body.get(name) for name in POSITION))

    @property
    def given(self) -> bool:
        """Whether any place is named."""
        return any(part is not None for part in (self.kind, self.index, self.id))

    def place(self, ids: Sequence[ObjectId]) -> int:
        """The index at which to insert into `ids`. Raises `BadParameter` with the codes 10 to 12."""
        if self.kind is not None:
            return _by_kind(self.kind, len(ids))
        if self.index is not None:
            return _by_index(self.index, len(ids))
        if self.id is not None:
            return _by_id(self.id, ids)
        return len(ids)

    def moved(self, ids: Sequence[ObjectId], moving: ObjectId) -> list[ObjectId]:
        """`ids` with the one that moves at its new place, where the index counts in the new order.

        Raises `BadParameter` with the codes 10 to 12.
        """
        others = [known for known in ids if known != moving]
        place = self.place(ids)
        if self.kind is None and self.index is None and self.id is not None and ids[place] != moving:
            place = others.index(ids[place])
        return [*others[:place], moving, *others[place:]]


def _by_kind(kind: object, length: int) -> int:
    places = {"first": 0, "last": length}
    if not isinstance(kind, str) or kind.lower() not in places:
        raise BadParameter("Wrong position type value, allowed values are first, last", code=12)
    return places[kind.lower()]


def _by_index(index: object, length: int) -> int:
    whole = isinstance(index, int) and not isinstance(index, bool)
    if isinstance(index, str) and re.fullmatch(r"[0-9]{1,9}", index):
        index, whole = int(index), True
    if not whole or not 0 <= index <= length:  # type: ignore[operator]
        raise BadParameter("Position index is invalid", code=10)
    return index  # type: ignore[return-value]


def _by_id(id_: object, ids: Sequence[ObjectId]) -> int:
    texts = [str(known) for known in ids]
    if not isinstance(id_, str) or id_.lower() not in texts:
        raise BadParameter("Position id is invalid", code=11)
    return texts.index(id_.lower())
