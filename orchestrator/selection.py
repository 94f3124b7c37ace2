"""Which records a caller wants, in which order, with which fields: values that every list of the core understands.

Made by a transport from its parameters, carried out by MongoDB (`mongo_sort`) or on records in memory (`select`).
Nothing here reads a request or a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Record = dict[str, Any]
Sort = tuple[tuple[str, int], ...]


class Kind(Enum):
    """Type of a field, as far as filters go by it. Lists, binary and other values are not filtered by."""

    ID = "id"
    TEXT = "text"
    NUMBER = "whole number"
    DECIMAL = "number"
    FLAG = "true or false"
    DATE = "date"
    OTHER = "other"


#: The fields of an entity that are returned, in this order, with their kinds.
Entity = Mapping[str, Kind]

#: Order of creation; the id decides within a millisecond.
BY_CREATION: Sort = (("created", 1), ("_id", 1))


@dataclass(frozen=True, slots=True)
class View:
    """What of a record is wanted: `only` these fields, or all `but` these, and the keys of what is embedded."""

    only: frozenset[str] | None = None
    but: frozenset[str] = frozenset()
    embed: frozenset[str] = frozenset()

    def has(self, name: str) -> bool:
        """Whether the field is wanted. The id always is."""
        return name == "_id" or (name not in self.but and (self.only is None or name in self.only))

    def embeds(self, name: str, *keys: str) -> bool:
        """Whether the field `name` is to be replaced by documents, which any of `keys` asks for."""
        return self.has(name) and not self.embed.isdisjoint(keys)

    def pick(self, document: Mapping[str, Any], entity: Entity) -> Record:
        """The wanted fields of the document; what is no field of the entity never comes along."""
        if self.only is None and not self.but:
            return {name: document[name] for name in entity if name in document}
        return {name: document[name] for name in entity if name in document and self.has(name)}

    def inside(self, prefix: str) -> View:
        """The view of the documents embedded under the key `prefix`: all fields, embedding what is `prefix.<key>`."""
        start = prefix + "."
        return View(embed=frozenset(key.removeprefix(start) for key in self.embed if key.startswith(start)))


@dataclass(frozen=True, slots=True)
class Selection:
    """Records whose fields equal `where` and are greater than `above`, ordered by `sort`, `limit` of them (0 = all)
    after the first `skip`.
    """

    where: Mapping[str, Any] = field(default_factory=dict)
    above: Mapping[str, int] = field(default_factory=dict)
    sort: Sort = ()
    skip: int = 0
    limit: int = 0

    @property
    def only_pages(self) -> bool:
        """Whether nothing but a page of the natural order is asked for."""
        return not self.where and not self.above and not self.sort

    def mongo_filter(self, own: Mapping[str, Any]) -> Mapping[str, Any]:
        """The filter for MongoDB, for records that also fulfil `own`."""
        above = {name: {"$gt": number} for name, number in self.above.items()}
        merged = {**own, **self.where, **above}
        if len(merged) < len(own) + len(self.where) + len(above):
            return {"$and": [part for part in (own, self.where, above) if part]}
        return merged

    def mongo_sort(self, natural: Sort = BY_CREATION) -> list[tuple[str, int]]:
        """The order for MongoDB, made total by the `natural` one."""
        named = {name for name, _ in self.sort}
        return [*self.sort, *((name, way) for name, way in natural if name not in named)]

    def page(self, records: Iterable[Any]) -> list[Any]:
        """The asked page of what is already in order."""
        return list(records)[self.skip : self.skip + self.limit if self.limit else None]

    def select(self, records: Iterable[Record]) -> list[Record]:
        """The same on records in memory, whose present order decides between equal ones."""
        found = [record for record in records if self._fits(record)]
        for name, way in reversed(self.sort):
            found.sort(key=lambda record, name=name: _rank(record.get(name)), reverse=way < 0)  # type: ignore[misc]
        return self.page(found)

    def _fits(self, record: Record) -> bool:
        return all(record.get(name) == value for name, value in self.where.items()) and all(
            name in record and record[name] > number for name, number in self.above.items()
        )


#: All fields, nothing embedded.
EVERYTHING = View()


def _rank(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)
