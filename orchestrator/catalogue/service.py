"""The catalogue of worktys: what an account sees of them, and which of them it may use in a workflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.accounts.service import AccountService
from orchestrator.catalogue.declared import declaration, defaults, rearranged
from orchestrator.catalogue.dictionaries import DICTIONARIES, Dictionaries
from orchestrator.catalogue.packages import PackageStore
from orchestrator.catalogue.versions import VersionStore
from orchestrator.errors import NotFound, NotOwnWorkty
from orchestrator.references import embed, from_collection
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, Selection, View
from orchestrator.values import object_id
from workties.manifest import Recovery
from workties.messages import Access, Limits, encode
from workties.package import PackageInfo
from workties.policy import Policy, policy_document

WORKTY: Entity = {
    "_id": Kind.ID,
    "name": Kind.TEXT,
    "desc": Kind.TEXT,
    "accountId": Kind.ID,
    "typeId": Kind.ID,
    "categoryId": Kind.ID,
    "languageTypeId": Kind.ID,
    "validationStateId": Kind.ID,
    "entryPointModuleFileName": Kind.TEXT,
    "compressedCode": Kind.OTHER,
    "template": Kind.FLAG,
    "propertiesIds": Kind.OTHER,
    "price": Kind.NUMBER,
    "discountPercent": Kind.DECIMAL,
    "created": Kind.DATE,
    "version": Kind.OTHER,
}

Document = Mapping[str, Any]

PROPERTY: Entity = {"_id": Kind.ID, "name": Kind.TEXT, "value": Kind.OTHER}


class CatalogueService:
    """Worktys as accounts see them."""

    def __init__(self, db: Database[dict[str, Any]], packages: PackageStore, accounts: AccountService) -> None:
        self._db = db
        self._workties = db["workties"]
        self._properties = db["workty_properties"]
        self._packages = packages
        self._versions = VersionStore(db, packages)
        self._accounts = accounts

    def find(self, actor: Account, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """Own worktys and templates, for admins all. Raises `Forbidden`."""
        actor.require("workties", "view")
        found = self._workties.find(
            {"$and": [_visible(actor), selection.where]},
            sort=selection.mongo_sort(),
            skip=selection.skip,
            limit=selection.limit,
        )
        return self._records(actor, found, view)

    def get(self, actor: Account, workty_id: str, view: View = EVERYTHING) -> Record:
        """One workty. Raises `Forbidden`, `NotFound`."""
        actor.require("workties", "view")
        return self._records(actor, [self._visible(actor, object_id(workty_id))], view)[0]

    def versions(self, actor: Account, workty_id: str, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """Versions of a workty, newest first. Raises `Forbidden`, `NotFound`."""
        actor.require("workties", "view")
        return self._versions.find(self._visible(actor, object_id(workty_id))["_id"], selection, view)

    def dictionary(self, actor: Account, field: str) -> list[Record]:
        """What worktys may have for `field`, e.g. `categoryId`. Raises `Forbidden`."""
        actor.require("workties", "view")
        return Dictionaries(self._db).entries(field)

    def usable(self, actor: Account, workty_id: ObjectId) -> Mapping[str, Any]:
        """The document of a workty that the account may use: an own one or a free template, for admins any.

        Raises `NotFound`, and `NotOwnWorkty` for a template that has to be acquired first.
        """
        workty = self._visible(actor, workty_id)
        if not actor.owns(workty["accountId"]) and workty["price"] > 0:
            raise NotOwnWorkty
        return workty

    def require(self, workty_id: ObjectId) -> None:
        """Return if there is still a workty of this id. Raises `NotFound`."""
        if self._workties.find_one({"_id": workty_id}, {"_id": True}) is None:
            raise NotFound("workty")

    def owned(self, actor: Account, workty_id: str) -> Document:
        """The document of a workty that the account may change, if its roles let it change any. Raises `NotFound`."""
        found = self._workties.find_one({"_id": object_id(workty_id)})
        if found is None or not actor.owns(found["accountId"]):
            raise NotFound("workty")
        return found

    def record(self, actor: Account, document: Document) -> Record:
        """A stored workty as the account sees it."""
        return self._records(actor, [document], EVERYTHING)[0]

    def properties(self, ids: Iterable[ObjectId]) -> list[Record]:
        """Properties by their ids, in this order."""
        wanted = list(ids)
        found = from_collection(self._properties, PROPERTY)(wanted) if wanted else {}
        return [found[id_] for id_ in wanted if id_ in found]

    def document(self, workty_id: ObjectId) -> Document:
        """The document of a workty. Raises `NotFound`."""
        found = self._workties.find_one({"_id": workty_id})
        if found is None:
            raise NotFound("workty")
        return found

    def package(self, workty: Document, version: str) -> Document:
        """The stored package of a version that a client names. Raises `ValidationFailed` for one there is not."""
        return self._versions.wanted(workty, version)

    def held_package(self, workty: Document, version: str) -> Document:
        """The stored package that an instance of this version runs; "" is the workty's code. Empty if there is none."""
        return self._versions.held(workty, version)

    def offered(self, workty: Document, package: Document) -> list[Record]:
        """What a new instance of this package of the workty has: names and values, in order."""
        present, current = self.properties(workty["propertiesIds"]), workty.get("package") or {}
        if package.get("version") == current.get("version"):
            return present
        return [dict(p) for p in rearranged(present, defaults(current), defaults(package), follow=True).result]

    def embedded(self, actor: Account, ids: list[ObjectId]) -> dict[ObjectId, Record]:
        """Worktys to be embedded in what uses them, by id; those that the account does not see are left out."""
        found = self._workties.find({"$and": [_visible(actor), {"_id": {"$in": ids}}]})
        return {record["_id"]: record for record in self._records(actor, found, EVERYTHING)}

    def _visible(self, actor: Account, workty_id: ObjectId) -> Mapping[str, Any]:
        workty = self._workties.find_one({"$and": [_visible(actor), {"_id": workty_id}]})
        if workty is None:
            raise NotFound("workty")
        return workty

    def _records(self, actor: Account, documents: Iterable[Mapping[str, Any]], view: View) -> list[Record]:
        found = list(documents)
        code = self._code(actor, found) if view.has("compressedCode") else {}
        records = [
            view.pick({**document, **code.get(document["_id"], {}), "version": _version(document)}, WORKTY)
            for document in found
        ]
        if view.embeds("propertiesIds", "properties"):
            embed(records, "propertiesIds", from_collection(self._properties, PROPERTY))
        if view.embeds("accountId", "account"):
            embed(records, "accountId", lambda ids: self._accounts.strangers(actor, ids))
        for field, (collection, entry) in DICTIONARIES.items():
            if view.embeds(field, field.removesuffix("Id").lower()):
                embed(records, field, from_collection(self._db[collection], entry))
        return records

    def _code(self, actor: Account, documents: list[Mapping[str, Any]]) -> dict[ObjectId, Record]:
        """`compressedCode` by workty, where the account may have it; None for a workty without code."""
        open_ = [d for d in documents if actor.owns(d["accountId"]) or d["price"] == 0]
        digests = {d["_id"]: d["package"]["sha256"] for d in open_ if d.get("package")}
        data = self._packages.get_many(digests.values()) if digests else {}
        return {d["_id"]: {"compressedCode": data.get(digests.get(d["_id"], ""))} for d in open_}


def _version(workty: Document) -> str:
    return str((workty.get("package") or {}).get("version", ""))


def _visible(actor: Account) -> dict[str, Any]:
    return {} if actor.is_admin else {"$or": [{"accountId": actor.id}, {"template": True}]}


def package_document(info: PackageInfo) -> dict[str, Any]:
    """What is stored of an inspected package with its workty, for runs; never returned to clients."""
    manifest = info.manifest
    return {
        "sha256": info.sha256,
        "size": info.size,
        "entry": info.entry,
        "language": info.language,
        "version": manifest.version if manifest else "",
        "labels": list(manifest.labels) if manifest else [],
        "limits": encode(manifest.limits if manifest else Limits()),
        # A package of v1 says nothing of what it needs, and always had the network.
        "access": encode(manifest.access if manifest else Access(network=True)),
        "recovery": asdict(manifest.recovery if manifest else Recovery()),
        "policy": policy_document(manifest.policy if manifest else Policy()),
        "states": list(manifest.states) if manifest else [],
        "properties": [declaration(found) for found in manifest.properties] if manifest else [],
    }
