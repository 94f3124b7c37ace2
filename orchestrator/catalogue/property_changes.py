"""Writes what `declared` decided about properties, around the one write that makes it count: the owner's list of ids.

First `begin`, then the owner's list, then `finish`, or `undo` where the list was not written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.catalogue.declared import Rearranged


class PropertyChanges:
    """Properties of worktys and instances, several at a time."""

    def __init__(self, db: Database[dict[str, Any]]) -> None:
        self._properties = db["workty_properties"]

    def read(self, ids: Iterable[ObjectId]) -> list[Mapping[str, Any]]:
        """The properties of these ids that exist, in this order."""
        wanted = list(ids)
        found = {document["_id"]: document for document in self._properties.find({"_id": {"$in": wanted}})}
        return [found[id_] for id_ in wanted if id_ in found]

    def begin(self, change: Rearranged) -> None:
        """Store what is new; nobody has it yet. Storing the same ids twice is storing them once."""
        for found in change.added:
            content = {"name": found["name"], "value": found["value"]}
            self._properties.update_one({"_id": found["_id"]}, {"$setOnInsert": content}, upsert=True)

    def finish(self, change: Rearranged) -> None:
        """Write what changed and remove what is gone. A value that somebody changed meanwhile stays."""
        for found, before in change.reset:
            self._properties.update_one({"_id": found["_id"], "value": before}, {"$set": {"value": found["value"]}})
        if change.removed:
            self._properties.delete_many({"_id": {"$in": list(change.removed)}})

    def undo(self, change: Rearranged) -> None:
        """Remove what was new."""
        if change.added:
            self._properties.delete_many({"_id": {"$in": [found["_id"] for found in change.added]}})
