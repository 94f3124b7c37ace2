"""What admins do to the catalogue: add, change and delete worktys. Their properties are `properties`' affair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.catalogue.adopting import Adoption
from orchestrator.catalogue.code import DEFAULT_ENTRY, ENTRY_FIELD, FIELD, inspected, sent_code, sent_entry
from orchestrator.catalogue.declared import Rearranged
from orchestrator.catalogue.dictionaries import Dictionaries
from orchestrator.catalogue.packages import PackageStore, digest_of
from orchestrator.catalogue.removal import WorktyRemoval
from orchestrator.catalogue.service import CatalogueService, package_document
from orchestrator.changes import entity_change
from orchestrator.errors import NotFound
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.selection import Record
from orchestrator.values import TEXT_LIMIT, Values

#: What a client may name. All but `desc` and the code have to have a value.
REFERENCES = ("typeId", "categoryId", "languageTypeId")
REQUIRED = ("name", *REFERENCES, ENTRY_FIELD, "template", "price", "discountPercent")
FIELDS = (*REQUIRED, "desc", FIELD)

#: What a package is made of: one that changes has to be looked at together with the others.
PARTS = frozenset({FIELD, ENTRY_FIELD, "languageTypeId"})

#: Highest price, cents; the highest discount, percent.
MOST_CENTS = 2**53
MOST_DISCOUNT = 30

Document = Mapping[str, Any]


class CatalogueEditor:
    """Adds, changes and deletes worktys.

    Args:
        removal: deletes a workty, and tells so.
        audience: is told of the others.
    """

    def __init__(
        self,
        db: Database[dict[str, Any]],
        catalogue: CatalogueService,
        packages: PackageStore,
        removal: WorktyRemoval,
        clock: Callable[[], datetime],
        *,
        audience: Audience = NOBODY,
    ) -> None:
        self._workties = db["workties"]
        self._dictionaries = Dictionaries(db)
        self._catalogue = catalogue
        self._packages = packages
        self._adoption = Adoption(db, packages, clock)
        self._removal = removal
        self._clock = clock
        self._audience = audience

    def create(self, actor: Account, body: Mapping[str, Any]) -> Record:
        """A new workty of the actor, with the properties that its package declares; `price` is in currency units.

        Raises `Forbidden`, `ValidationFailed`.
        """
        actor.require("workties", "create")
        values = Values(body)
        values.required("name")
        document: dict[str, Any] = {
            "_id": ObjectId(),
            "name": values.text("name"),
            "desc": values.text("desc", limit=TEXT_LIMIT),
            "accountId": actor.id,
            **{field: self._reference(values, field) for field in REFERENCES},
            "validationStateId": self._dictionaries.default("validationStateId"),
            ENTRY_FIELD: sent_entry(values),
            "template": values.flag("template", False),
            "propertiesIds": [],
            "price": int(values.decimal("price", places=2, most=MOST_CENTS // 100) * 100),
            "discountPercent": _discount(values),
            "created": self._clock(),
        }
        data = sent_code(values)
        package = None if data is None else self._package(values, data, document)
        values.done()
        if data is not None and package is not None:
            self._packages.put(data)
            taken = self._adoption.begin(document, package)
            document |= {"package": package, "propertiesIds": taken.ids if taken else []}
        self._workties.insert_one(document)
        self._tell(actor, document)
        return self._catalogue.record(actor, document)

    def change(self, actor: Account, workty_id: str, body: Mapping[str, Any]) -> Record:
        """Change a workty; `price` is in whole cents. With a package its properties become what that declares.

        Raises `Forbidden`, `NothingToUpdate`, `NotFound`, `ValidationFailed`.
        """
        actor.require("workties", "update")
        values = Values(body)
        values.changes(*FIELDS, required=REQUIRED)
        workty: Document | None = self._catalogue.owned(actor, workty_id)
        if FIELD in values and workty and workty.get("builtin"):
            # The next start of a server would take it back, under everybody who relies on it.
            values.wrong(f"Path `{FIELD}` cannot be changed: '{workty['name']}' comes with Workty. Use another name.")
        changed = self._changes(values)
        touches_code = any(field in values for field in PARTS)
        while workty is not None:
            described, data = self._described(values, {**workty, **changed}) if touches_code else ({}, None)
            values.done()
            if data is not None:
                self._packages.put(data)
            taken = self._taken_over(workty, described)
            # A package goes with one entry point and one language: whoever finds others looks at all of them again.
            as_read = (_code_of(workty) if touches_code else {}) | _list_of(workty, taken)
            done = self._workties.find_one_and_update(
                {"_id": workty["_id"], **as_read},
                {"$set": changed | described | ({"propertiesIds": taken.ids} if taken else {})},
                return_document=ReturnDocument.AFTER,
            )
            if done is not None:
                self._adoption.finish(taken)
                self._give_up(workty, done)
                self._tell(actor, done)
                return self._catalogue.record(actor, done)
            gone, workty = workty, self._workties.find_one({"_id": workty["_id"]})
            self._adoption.undo(gone, taken, gone=workty is None)
        raise NotFound("workty")

    def delete(self, actor: Account, workty_id: str) -> None:
        """Delete a workty with its properties and all of its instances; runs that still need one are stopped.

        Raises `Forbidden`, `NotFound`.
        """
        actor.require("workties", "delete")
        workty = self._catalogue.owned(actor, workty_id)
        if not self._removal.workty(workty, "A workty that the run needs was deleted", actor):
            raise NotFound("workty")

    def _tell(self, actor: Account, workty: Document) -> None:
        self._audience.entity_changed(entity_change(EntityKind.WORKTY, workty["_id"], workty["accountId"], actor))

    def _reference(self, values: Values, field: str) -> ObjectId | None:
        known = self._dictionaries
        return known.default(field) if values.raw(field) is None else known.check(values, field)

    def _changes(self, values: Values) -> dict[str, Any]:
        """The fields that a client sent for a workty that exists, but for its code."""
        changed: dict[str, Any] = {f: self._dictionaries.check(values, f) for f in REFERENCES if f in values}
        readers: Mapping[str, Callable[[], Any]] = {
            "name": lambda: values.text("name"),
            "desc": lambda: values.text("desc", limit=TEXT_LIMIT),
            ENTRY_FIELD: lambda: sent_entry(values),
            "template": lambda: values.flag("template", False),
            "price": lambda: int(values.decimal("price", places=0, most=MOST_CENTS)),
            "discountPercent": lambda: _discount(values),
        }
        return changed | {field: read() for field, read in readers.items() if field in values}

    def _described(self, values: Values, workty: Document) -> tuple[dict[str, Any], bytes | None]:
        """The new description of the package, empty for a workty without code, and the zip if it was sent."""
        if FIELD in values:
            data = sent_code(values)
            return {"package": None if data is None else self._package(values, data, workty)}, data
        stored = self._packages.get(workty["package"]["sha256"]) if workty.get("package") else None
        return {} if stored is None else {"package": self._package(values, stored, workty)}, None

    def _package(self, values: Values, data: bytes, workty: Document) -> dict[str, Any] | None:
        # What is wrong with the fields already may be all that is wrong with the package.
        if not values.sound:
            return None
        language = self._dictionaries.language(workty["languageTypeId"])
        info = inspected(values, data, language=language, entry=workty.get(ENTRY_FIELD) or DEFAULT_ENTRY)
        return None if info is None else package_document(info)

    def _taken_over(self, workty: Document, described: Mapping[str, Any]) -> Rearranged | None:
        """What becomes of the properties with a new package; None if it is the same one, or there is none."""
        package = described.get("package")
        return None if package is None else self._adoption.begin(workty, package)

    def _give_up(self, before: Document, after: Document) -> None:
        """Release the package that a workty had and has no more."""
        old = digest_of(before)
        if old is not None and old != digest_of(after):
            self._packages.release([old], self._clock())


def _discount(values: Values) -> int | float:
    percent = values.decimal("discountPercent", places=2, most=MOST_DISCOUNT)
    return int(percent) if percent == int(percent) else float(percent)


def _list_of(workty: Document, taken: Rearranged | None) -> dict[str, Any]:
    """The list of properties that was rearranged, as the condition of a write."""
    return {} if taken is None else {"propertiesIds": workty["propertiesIds"]}


def _code_of(workty: Document) -> dict[str, Any]:
    """What a package depends on, as the condition of a write."""
    return {
        "package.sha256": digest_of(workty),
        ENTRY_FIELD: workty[ENTRY_FIELD],
        "languageTypeId": workty["languageTypeId"],
    }
