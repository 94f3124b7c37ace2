"""Replaces ids in records by the documents they name: one query a field, however many records there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from orchestrator.selection import EVERYTHING, Entity, Record

#: Finds the documents of some ids.
Fetch = Callable[[list[ObjectId]], Mapping[ObjectId, Record]]


def from_collection(collection: Collection[dict[str, Any]], entity: Entity) -> Fetch:
    """Finds documents of a collection, with the fields of `entity`."""

    def fetch(ids: list[ObjectId]) -> Mapping[ObjectId, Record]:
        found = collection.find({"_id": {"$in": ids}}, dict.fromkeys(entity, True))
        return {document["_id"]: EVERYTHING.pick(document, entity) for document in found}

    return fetch


def embed(records: Iterable[Record], field: str, fetch: Fetch) -> None:
    """Replace the id, or the ids of the list, in `field` of every record, in place and keeping their order.

    Ids that name nothing any more disappear from a list and stay as they are elsewhere.
    """
    holders = [record for record in records if record.get(field)]
    wanted = dict.fromkeys(id_ for record in holders for id_ in _ids(record[field]))
    found = fetch(list(wanted)) if wanted else {}
    for record in holders:
        value = record[field]
        if isinstance(value, list):
            record[field] = [found[id_] for id_ in value if id_ in found]
        else:
            record[field] = found.get(value, value)


def _ids(value: Any) -> list[ObjectId]:
    return value if isinstance(value, list) else [value]
