"""Properties of worktys: what each new instance gets a copy of. Instances that exist are not touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.catalogue.service import PROPERTY, CatalogueService, Document
from orchestrator.changes import entity_change
from orchestrator.errors import NotFound, ValidationFailed
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.selection import EVERYTHING, Record
from orchestrator.values import Values, object_id

#: Properties that a workty may have: an instance of it, which is read with hundreds of others, lists them all.
MAX_PROPERTIES = 256


class WorktyProperties:
    """Adds, changes and removes properties of worktys. One is there exactly if the workty's list names it.

    Args:
        audience: is told what changes.
    """

    def __init__(self, db: Database[dict[str, Any]], catalogue: CatalogueService, audience: Audience = NOBODY) -> None:
        self._workties = db["workties"]
        self._properties = db["workty_properties"]
        self._catalogue = catalogue
        self._audience = audience

    def add(self, actor: Account, workty_id: str, body: Mapping[str, Any]) -> Record:
        """A new last property. Raises `Forbidden`, `NotFound`, `ValidationFailed`."""
        actor.require("workties", "update")
        values = _property(body)
        values.required("name")
        workty = self._catalogue.owned(actor, workty_id)
        found = {
            "_id": ObjectId(),
            "name": values.text("name"),
            "value": values.json("value") if "value" in values else "",
        }
        values.done()
        self._properties.insert_one(found)
        room = {"_id": workty["_id"], f"propertiesIds.{MAX_PROPERTIES - 1}": {"$exists": False}}
        if not self._workties.update_one(room, {"$push": {"propertiesIds": found["_id"]}}).matched_count:
            self._properties.delete_one({"_id": found["_id"]})
            self._catalogue.require(workty["_id"])
            raise ValidationFailed([f"Path `propertiesIds` has {MAX_PROPERTIES} properties already, the most it may."])
        self._tell(actor, workty)
        return EVERYTHING.pick(found, PROPERTY)

    def change(self, actor: Account, workty_id: str, property_id: str, body: Mapping[str, Any]) -> Record:
        """Change name or value of a property.

        Raises `Forbidden`, `NothingToUpdate`, `NotFound`, `ValidationFailed`.
        """
        actor.require("workties", "update")
        values = _property(body)
        values.changes("name", "value", required=("name",))
        workty, key = self._key(actor, workty_id, property_id)
        changed: dict[str, Any] = {"name": values.text("name")} if "name" in values else {}
        changed |= {"value": values.json("value")} if "value" in values else {}
        values.done()
        found = self._properties.find_one_and_update(
            {"_id": key}, {"$set": changed}, return_document=ReturnDocument.AFTER
        )
        if found is None:
            raise NotFound("property")
        self._tell(actor, workty)
        return EVERYTHING.pick(found, PROPERTY)

    def remove(self, actor: Account, workty_id: str, property_id: str) -> None:
        """Remove a property. Raises `Forbidden`, `NotFound`."""
        actor.require("workties", "update")
        workty, key = self._key(actor, workty_id, property_id)
        listed = {"_id": workty["_id"], "propertiesIds": key}
        taken = self._workties.update_one(listed, {"$pull": {"propertiesIds": key}})
        self._properties.delete_one({"_id": key})
        if not taken.matched_count:
            raise NotFound("property")
        self._tell(actor, workty)

    def _tell(self, actor: Account, workty: Document) -> None:
        self._audience.entity_changed(entity_change(EntityKind.WORKTY, workty["_id"], workty["accountId"], actor))

    def _key(self, actor: Account, workty_id: str, property_id: str) -> tuple[Document, ObjectId]:
        """A workty and the id of one of its properties. Raises `NotFound`."""
        workty, key = self._catalogue.owned(actor, workty_id), object_id(property_id)
        if key not in workty["propertiesIds"]:
            raise NotFound("property")
        return workty, key


def _property(body: Mapping[str, Any]) -> Values:
    """The values of the object `property`; without one there are none."""
    sent = body.get("property")
    return Values(sent if isinstance(sent, dict) else {})
