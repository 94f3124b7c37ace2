"""The seed: what every installation has from its first start (REST contract, section 7).

Missing entries are added, nothing that is there is changed, except the code of built-in worktys, which follows the
installed version; instances keep the version that they have. Safe when several processes start at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from orchestrator.accounts.account import ADMIN, REGULAR
from orchestrator.accounts.passwords import Passwords, generated_password
from orchestrator.accounts.service import email_key
from orchestrator.catalogue.declared import defaults, rearranged
from orchestrator.catalogue.dictionaries import Dictionaries
from orchestrator.catalogue.packages import PackageStore, digest_of
from orchestrator.catalogue.property_changes import PropertyChanges
from orchestrator.catalogue.service import package_document
from orchestrator.catalogue.versions import VersionStore, keep_versions
from orchestrator.errors import BadSettings
from workties.builtin import BuiltinPackage, builtin_packages

Db = Database[dict[str, Any]]

DEFAULT_ADMIN_EMAIL = "supervisor@localhost"

PERMISSIONS = ("view", "create", "update", "delete")

_NAMES: Mapping[str, tuple[str, ...]] = {
    "workty_types": ("in", "out", "inout"),
    "workty_instance_states": ("initial", "waiting", "running", "completed", "paused", "failed", "stopped"),
    "device_states": ("waiting", "running", "disconnected"),
    "workty_validation_states": ("in progress", "approved", "rejected"),
    "acl_permissions": PERMISSIONS,
}

_TREES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "workty_categories": {"clouding": ("google-drive", "dropbox"), "unsorted": ("unit-tests",)},
    "workty_language_types": {"nodejs": ("4.4.0",), "java": ("8",), "python": ("3.14.1-6",)},
}

#: By resource: how often clients refresh it (ms), and whether it is the same for all accounts.
_RESOURCES: Mapping[str, tuple[int, bool]] = {
    "accounts": (1000, False),
    "workflows": (10000, False),
    "workties": (1000, False),
    "devices": (10000, True),
    "payments": (1000, False),
    "uisettings": (1000, False),
    "dictionaries": (10000, True),
}

_ROLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    ADMIN: dict.fromkeys(_RESOURCES, PERMISSIONS),
    REGULAR: {
        "accounts": ("view", "update", "delete"),
        "workflows": PERMISSIONS,
        "workties": ("view",),
        "payments": ("view", "create"),
        "uisettings": ("view", "update"),
        "dictionaries": ("view",),
    },
}


@dataclass(frozen=True, slots=True)
class Seeded:
    """The first admin, and its password if this call generated it: to be shown once and to be forgotten."""

    admin_id: ObjectId
    generated_password: str | None


def seed(
    db: Db, admin_email: str, admin_password: str | None, now: datetime, passwords: Passwords | None = None
) -> Seeded:
    """Add what is missing. Call after the indexes were created.

    Arguments:
        admin_email: of the first admin, made only if there is no admin.
        admin_password: its password; None or empty for a random one.

    Raises:
        BadSettings: `admin_email` belongs to an account that is no admin.
    """
    _add_dictionaries(db)
    seeded = _add_admin(db, admin_email, admin_password, now, passwords or Passwords(lambda: now))
    keep_versions(db)
    for builtin in builtin_packages():
        _add_builtin(db, builtin, seeded.admin_id, now)
    return seeded


def _add_dictionaries(db: Db) -> None:
    for collection, names in _NAMES.items():
        for name in names:
            _add(db, collection, {"name": name})
    for collection, tree in _TREES.items():
        for parent, children in tree.items():
            parent_id = _add(db, collection, {"name": parent, "parentId": None})
            for child in children:
                _add(db, collection, {"name": child, "parentId": parent_id})
    for name, (refreshing, static) in _RESOURCES.items():
        timing = {"authTimeout": 1000, "refreshingTimeout": refreshing, "maxReconnectionAttempts": 1}
        _add(db, "acl_resources", {"name": name}, timing | {"static": static})
    for name, allows in _ROLES.items():
        rules = [{"resources": resource, "permissions": list(permissions)} for resource, permissions in allows.items()]
        _add(db, "acl_roles", {"name": name}, {"allows": rules})


def _add(db: Db, collection: str, key: dict[str, Any], rest: Mapping[str, Any] | None = None) -> ObjectId:
    """The id of the entry with this key, which is added if it is missing."""
    found = db[collection].find_one(key, {"_id": True})
    if found is None:
        # The unique index lets one of several processes win; the others find its entry.
        with suppress(DuplicateKeyError):
            db[collection].insert_one({**key, **(rest or {})})
        found = db[collection].find_one(key, {"_id": True}) or {}
    return ObjectId(found["_id"])


def _add_admin(db: Db, email: str, password: str | None, now: datetime, passwords: Passwords) -> Seeded:
    existing = _first_admin(db)
    if existing is not None:
        return Seeded(existing, None)
    generated = None if password else generated_password()
    document = {
        "_id": ObjectId(),
        "name": "supervisor",
        "email": email,
        "emailKey": email_key(email),
        "oauthID": "",
        "password": passwords.hash(password or generated or ""),
        "aclRoleNames": [ADMIN],
        "amount": 0,
        "removed": False,
        "created": now,
    }
    try:
        db["accounts"].insert_one(document)
    except DuplicateKeyError:
        existing = _first_admin(db)
        if existing is None:
            raise BadSettings([f"WORKTY_ADMIN_EMAIL: {email} belongs to an account that is no admin"]) from None
        return Seeded(existing, None)
    return Seeded(ObjectId(str(document["_id"])), generated)


def _first_admin(db: Db) -> ObjectId | None:
    found = db["accounts"].find_one({"aclRoleNames": ADMIN}, {"_id": True}, sort=[("created", 1), ("_id", 1)])
    return None if found is None else ObjectId(found["_id"])


def _add_builtin(db: Db, builtin: BuiltinPackage, owner: ObjectId, now: datetime) -> None:
    name, packages, properties = builtin.manifest.name, PackageStore(db), PropertyChanges(db)
    key, package = {"_id": _fixed_id(name)}, package_document(builtin.info)
    packages.put(builtin.data)
    VersionStore(db, packages).put(key["_id"], package, now)
    while True:
        present: Mapping[str, Any] = db["workties"].find_one(key) or _first(db, builtin, owner, now)
        if digest_of(present) == builtin.info.sha256:
            return
        before = present.get("package") or {}
        change = rearranged(
            properties.read(present["propertiesIds"]),
            defaults(before),
            defaults(package),
            follow=True,
            make_id=lambda declared: _fixed_id(f"{name}/{declared}"),
        )
        properties.begin(change)
        if _take_over(db, present, {"package": package, "propertiesIds": change.ids, "builtin": True}):
            properties.finish(change)
            if before.get("sha256"):
                packages.release([before["sha256"]], now)
            return


def _first(db: Db, builtin: BuiltinPackage, owner: ObjectId, now: datetime) -> dict[str, Any]:
    """A built-in workty as it is at first, still without its code."""
    return {
        "_id": _fixed_id(builtin.manifest.name),
        "name": builtin.manifest.name,
        "desc": builtin.manifest.description,
        "accountId": owner,
        "typeId": _add(db, "workty_types", {"name": "inout"}),
        "categoryId": _category(db),
        "languageTypeId": _language(db, builtin.info.language),
        "validationStateId": _add(db, "workty_validation_states", {"name": "approved"}),
        "entryPointModuleFileName": builtin.info.entry,
        "template": True,
        "propertiesIds": [],
        "price": 0,
        "discountPercent": 0,
        "created": now,
    }


def _take_over(db: Db, present: Mapping[str, Any], changed: Mapping[str, Any]) -> bool:
    """Add a built-in workty with what is new, or change it; False if another process was faster."""
    if "package" not in present:
        try:
            db["workties"].insert_one({**present, **changed})
        except DuplicateKeyError:
            return False
        return True
    as_read = {"_id": present["_id"], "package.sha256": digest_of(present), "propertiesIds": present["propertiesIds"]}
    return db["workties"].update_one(as_read, {"$set": dict(changed)}).matched_count > 0


def _category(db: Db) -> ObjectId:
    parent = _add(db, "workty_categories", {"name": "unsorted", "parentId": None})
    return _add(db, "workty_categories", {"name": "unit-tests", "parentId": parent})


def _language(db: Db, name: str) -> ObjectId:
    _add(db, "workty_language_types", {"name": name, "parentId": None})
    return Dictionaries(db).first_version(name)


def _fixed_id(name: str) -> ObjectId:
    """The id of something built in: the same in every installation, so that adding it twice is adding it once."""
    return ObjectId(sha256(f"builtin/{name}".encode()).digest()[:12])
