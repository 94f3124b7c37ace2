"""Versions of worktys: what was stored under which version, so that instances can keep theirs.

A version is stored before its workty gets that code, so the code of a workty is always one of its versions; only
packages without manifest have none, and are kept nowhere else. Checks no permissions.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from orchestrator.catalogue.declared import declarations
from orchestrator.catalogue.packages import KEPT, PackageStore
from orchestrator.errors import ValidationFailed
from orchestrator.selection import Entity, Kind, Record, Selection, View
from workties.policy import OF_INSTANCES, policy_document, policy_of, policy_view

#: Versions that a workty keeps. Beyond it, old ones that no instance uses make room.
MAX_VERSIONS = 100
#: Names the version of the code that a workty has at that moment.
LATEST = "latest"

VERSION: Entity = {
    "_id": Kind.ID,
    "version": Kind.TEXT,
    "created": Kind.DATE,
    "size": Kind.NUMBER,
    "sha256": Kind.TEXT,
    "properties": Kind.OTHER,
    "states": Kind.OTHER,
    "policy": Kind.OTHER,
}
_NAME = {"worktyId": True, "version": True}
_NEWEST_FIRST = (("created", -1), ("_id", -1))

Document = Mapping[str, Any]


class VersionStore:
    """The versions of all worktys. One that is stored is never changed, but for built-in ones.

    Args:
        limit: versions that a workty keeps.
    """

    def __init__(self, db: Database[dict[str, Any]], packages: PackageStore, limit: int = MAX_VERSIONS) -> None:
        self._versions = db["workty_versions"]
        self._instances = db["workty_instances"]
        self._packages = packages
        self._limit = limit

    def add(self, workty: Document, package: Document, now: datetime) -> None:
        """Store the version that a package with manifest says; none is stored if it is there with the same bytes.

        Raises:
            ValidationFailed: it is there with other bytes, or all of the workty's versions are in use.
        """
        key = {"worktyId": workty["_id"], "version": package["version"]}
        try:
            # The index decides between two who store the same version at once.
            self._versions.insert_one({"_id": ObjectId(), **key, "created": now, **package})
        except DuplicateKeyError:
            stored = self._versions.find_one(key, {"sha256": True}) or {}
            if stored.get("sha256") != package["sha256"]:
                raise ValidationFailed([_taken(workty, package)]) from None
            return
        self._make_room(workty, package, now)

    def put(self, workty_id: ObjectId, package: Document, now: datetime) -> None:
        """Store a version of a built-in workty; what the server brings along replaces what was stored under it."""
        key = {"worktyId": workty_id, "version": package["version"]}
        content = {name: value for name, value in package.items() if name != "version"}
        update = {"$set": content, "$setOnInsert": {"created": now}}
        before = self._versions.find_one_and_update(key, update, upsert=True) or {}
        replaced = before.get("sha256")
        if replaced not in (None, package["sha256"]):
            self._packages.release([replaced], now)

    def find(self, workty_id: ObjectId, selection: Selection, view: View) -> list[Record]:
        """Versions, newest first unless the selection says otherwise, with their declared properties and policies."""
        found = self._versions.find(
            selection.mongo_filter({"worktyId": workty_id}),
            sort=selection.mongo_sort(_NEWEST_FIRST),
            skip=selection.skip,
            limit=selection.limit,
        )
        return [
            view.pick({**document, "properties": declarations(document), "policy": _policy(document)}, VERSION)
            for document in found
        ]

    def held(self, workty: Document, version: str) -> Document:
        """The stored package that an instance of this version runs; "" is the workty's code. Empty if there is none."""
        current: Document = workty.get("package") or {}
        if version in ("", current.get("version")):
            return current
        return self._versions.find_one({"worktyId": workty["_id"], "version": version}) or {}

    def wanted(self, workty: Document, version: str) -> Document:
        """The stored package of a version that a client names, `LATEST` too. Raises `ValidationFailed`."""
        current: Document = workty.get("package") or {}
        if version in (LATEST, current.get("version", "")):
            return current
        found = self._versions.find_one({"worktyId": workty["_id"], "version": version})
        if found is None:
            raise ValidationFailed([_unknown(workty, version, self._names(workty["_id"]))])
        return found

    def remove(self, workty_id: ObjectId, now: datetime) -> None:
        """Remove all versions of a workty that is gone, and give up their packages."""
        key = {"worktyId": workty_id}
        digests = [found["sha256"] for found in self._versions.find(key, {"sha256": True})]
        self._versions.delete_many(key)
        if digests:
            self._packages.release(digests, now)

    def _names(self, workty_id: ObjectId) -> list[str]:
        found = self._versions.find({"worktyId": workty_id}, {"version": True}, sort=list(_NEWEST_FIRST))
        return [document["version"] for document in found]

    def _make_room(self, workty: Document, package: Document, now: datetime) -> None:
        """Remove the oldest versions beyond the limit; those of the last day stay, as an instance may just be made."""
        key = {"worktyId": workty["_id"]}
        surplus = self._versions.count_documents(key) - self._limit
        if surplus <= 0:
            return
        used = {"", package["version"], (workty.get("package") or {}).get("version")}
        used |= set(self._instances.distinct("version", key))
        old = self._versions.find(key | {"created": {"$lt": now - KEPT}}, sort=[("created", 1), ("_id", 1)])
        unused = [found for found in old if found["version"] not in used][:surplus]
        self._versions.delete_many({"_id": {"$in": [found["_id"] for found in unused]}})
        self._packages.release([found["sha256"] for found in unused], now)
        if len(unused) < surplus:
            self._versions.delete_one(key | {"version": package["version"]})
            raise ValidationFailed([_full(workty, self._limit)])


def keep_versions(db: Database[dict[str, Any]]) -> None:
    """Keep the versions of code that worktys have since before versions were kept."""
    kept = {(found["worktyId"], found["version"]) for found in db["workty_versions"].find({}, _NAME)}
    for workty in db["workties"].find({"package.version": {"$gt": ""}}, {"package": True, "created": True}):
        if (workty["_id"], workty["package"]["version"]) not in kept:
            with suppress(DuplicateKeyError):
                found = {"worktyId": workty["_id"], "created": workty["created"], **workty["package"]}
                db["workty_versions"].insert_one(found)


def _policy(package: Document) -> Record:
    """What a stored package says of failures, defaults included."""
    whole = policy_document(policy_of(package.get("policy") or {}))
    return policy_view({name: value for name, value in whole.items() if name not in OF_INSTANCES})


def _taken(workty: Document, package: Document) -> str:
    return (
        f"Path `compressedCode` is not usable: workty '{workty['name']}' has version {package['version']} already, "
        "with other code; raise `version` in workty.toml."
    )


def _unknown(workty: Document, version: str, names: list[str]) -> str:
    known = f"It has {', '.join(names)}, and {LATEST}" if names else "It has none"
    return f"Path `version` is no version of workty '{workty['name']}': '{version}'. {known}."


def _full(workty: Document, limit: int) -> str:
    return (
        f"Path `compressedCode` is not usable: workty '{workty['name']}' has {limit} versions, all of them new "
        "or in use; upgrade instances of old ones."
    )
