"""The dictionaries that worktys refer to: which ids are in them, and which entries are the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.selection import EVERYTHING, Entity, Kind, Record
from orchestrator.values import Values, is_id

#: An entry of a dictionary without and with entries below others.
ENTRY: Entity = {"_id": Kind.ID, "name": Kind.TEXT}
CHILD: Entity = {**ENTRY, "parentId": Kind.ID}

#: By the field that refers to it: the collection and what is returned of an entry.
DICTIONARIES: Mapping[str, tuple[str, Entity]] = {
    "typeId": ("workty_types", ENTRY),
    "categoryId": ("workty_categories", CHILD),
    "languageTypeId": ("workty_language_types", CHILD),
    "validationStateId": ("workty_validation_states", ENTRY),
}

#: Entries of a new workty that names none.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "typeId": {"name": "inout"},
    "categoryId": {"name": "unsorted", "parentId": None},
    "validationStateId": {"name": "in progress"},
}
DEFAULT_LANGUAGE = "nodejs"


class Dictionaries:
    """Reads the dictionaries; nothing is kept, so that what an admin adds to them counts at once."""

    def __init__(self, db: Database[dict[str, Any]]) -> None:
        self._db = db

    def entries(self, field: str) -> list[Record]:
        """All entries of the dictionary that `field` refers to, in order of creation."""
        entity = DICTIONARIES[field][1]
        return [EVERYTHING.pick(entry, entity) for entry in self._of(field).find(sort=[("_id", 1)])]

    def default(self, field: str) -> ObjectId:
        """The entry that `field` of a new workty has if the client names none."""
        if field == "languageTypeId":
            return self.first_version(DEFAULT_LANGUAGE)
        return self._id(field, DEFAULTS[field])

    def first_version(self, language: str) -> ObjectId:
        """The first version of a language; for a language without versions itself."""
        top = self._id("languageTypeId", {"name": language, "parentId": None})
        version = self._of("languageTypeId").find_one({"parentId": top}, {"_id": True}, sort=[("_id", 1)])
        return ObjectId(version["_id"]) if version else top

    def language(self, version: ObjectId) -> str:
        """Name of the language that a version is of."""
        entry = self._of("languageTypeId").find_one({"_id": version}) or {"name": DEFAULT_LANGUAGE}
        parent = entry.get("parentId")
        top = self._of("languageTypeId").find_one({"_id": parent}) if parent else None
        return str((top or entry)["name"])

    def check(self, values: Values, field: str) -> ObjectId | None:
        """The id that a client sent for `field`; None, and a problem noted, if no entry may be meant by it."""
        given = values.raw(field)
        entry = self._of(field).find_one({"_id": ObjectId(given)}) if is_id(given) else None
        if entry is None:
            values.wrong(f"Path `{field}` is the id of no entry of its dictionary.")
            return None
        if field == "languageTypeId" and not entry["parentId"] and self._of(field).find_one({"parentId": entry["_id"]}):
            values.wrong(f"Path `{field}` is the id of a language ({entry['name']}), not of one of its versions.")
            return None
        return ObjectId(entry["_id"])

    def _id(self, field: str, key: Mapping[str, Any]) -> ObjectId:
        found = self._of(field).find_one(key, {"_id": True})
        if found is None:
            raise LookupError(f"{DICTIONARIES[field][0]} has no {key['name']!r}; start the server to seed the database")
        return ObjectId(found["_id"])

    def _of(self, field: str) -> Any:
        return self._db[DICTIONARIES[field][0]]
