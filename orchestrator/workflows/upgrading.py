"""Gives an instance another version of its workty: the version and the properties that it declares, at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.catalogue.declared import Rearranged, defaults, rearranged
from orchestrator.catalogue.property_changes import PropertyChanges
from orchestrator.catalogue.service import CatalogueService
from orchestrator.errors import NotFound

#: Longest version, characters.
VERSION_LIMIT = 64

Document = Mapping[str, Any]


class Upgrades:
    """Changes versions of instances, to newer or older ones. Checks no permissions and tells nobody."""

    def __init__(self, db: Database[dict[str, Any]], catalogue: CatalogueService) -> None:
        self._instances = db["workty_instances"]
        self._properties = PropertyChanges(db)
        self._catalogue = catalogue

    def carry_out(self, instance_id: ObjectId, version: str) -> None:
        """Give an instance a version, by its name or as `LATEST`; no change if it has it.

        What the new version declares and the instance has not is added with its default, what only the old version
        declares goes, and everything else keeps its value.

        Raises:
            NotFound: the instance or its workty is gone.
            ValidationFailed: the workty has no such version.
        """
        while (instance := self._instances.find_one({"_id": instance_id})) is not None:
            present = instance.get("version")
            if version == (present or ""):
                return
            workty = self._catalogue.document(instance["worktyId"])
            package = self._catalogue.package(workty, version)
            named = package.get("version", "")
            if named == present:
                return
            change = self._change(instance, workty, package)
            self._properties.begin(change)
            done = self._instances.update_one(
                {"_id": instance_id, "version": present, "propertiesIds": instance["propertiesIds"]},
                {"$set": {"version": named, "propertiesIds": change.ids}},
            )
            if done.matched_count:
                self._properties.finish(change)
                return
            self._properties.undo(change)
        raise NotFound("instance")

    def _change(self, instance: Document, workty: Document, package: Document) -> Rearranged:
        before = self._catalogue.held_package(workty, instance.get("version") or "")
        offered = {found["name"]: found["value"] for found in self._catalogue.offered(workty, package)}
        present = self._properties.read(instance["propertiesIds"])
        return rearranged(present, defaults(before), defaults(package), values=offered, follow=False)
