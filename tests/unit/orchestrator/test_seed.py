"""The seed adds what is missing, however often and by however many it is called."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from argon2 import PasswordHasher
from pymongo.database import Database

from orchestrator.accounts.passwords import Passwords
from orchestrator.catalogue.packages import PackageStore
from orchestrator.database import create_indexes
from orchestrator.embedded import embedded_database
from orchestrator.errors import BadSettings
from orchestrator.seed import Seeded, seed
from workties.builtin import builtin_packages

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Db = Database[dict[str, Any]]


@pytest.fixture
def db() -> Db:
    db = embedded_database()
    create_indexes(db)
    return db


def seeded(db: Db, email: str = "supervisor@localhost", password: str | None = "secret") -> Seeded:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return seed(db, email, password, NOW, Passwords(lambda: NOW, cheap))


def content(db: Db) -> dict[str, list[Any]]:
    return {name: list(db[name].find(sort=[("_id", 1)])) for name in sorted(db.list_collection_names())}


def names(db: Db, collection: str) -> set[str]:
    return {row["name"] for row in db[collection].find()}


def test_a_second_seed_changes_nothing(db: Db) -> None:
    first, before = seeded(db), content(db)
    again = seeded(db, password="another")
    assert content(db) == before
    assert again == Seeded(first.admin_id, None)


def test_seeds_at_the_same_time_make_everything_once(db: Db) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: seeded(db, password=None), range(4)))
    assert len({result.admin_id for result in results}) == 1
    assert len([result for result in results if result.generated_password]) == 1
    other = embedded_database()
    create_indexes(other)
    seeded(other)
    assert {name: len(rows) for name, rows in content(db).items()} == {
        name: len(rows) for name, rows in content(other).items()
    }


def test_the_dictionaries_are_those_of_the_contract(db: Db) -> None:
    seeded(db)
    assert names(db, "workty_types") == {"in", "out", "inout"}
    assert names(db, "workty_instance_states") == {
        *("initial", "waiting", "running", "completed", "paused", "failed", "stopped")
    }
    assert names(db, "device_states") == {"waiting", "running", "disconnected"}
    assert names(db, "acl_permissions") == {"view", "create", "update", "delete"}
    python = db["workty_language_types"].find_one({"name": "python"})
    assert python is not None
    assert python["parentId"] is None
    assert [row["name"] for row in db["workty_language_types"].find({"parentId": python["_id"]})] == ["3.14.1-6"]


@pytest.mark.parametrize(
    ("collection", "tree"),
    [
        ("workty_categories", {"clouding": ["dropbox", "google-drive"], "unsorted": ["unit-tests"]}),
        ("workty_language_types", {"nodejs": ["4.4.0"], "java": ["8"], "python": ["3.14.1-6"]}),
        ("workty_validation_states", {"in progress": [], "approved": [], "rejected": []}),
    ],
)
def test_entries_lie_below_those_of_the_contract(db: Db, collection: str, tree: dict[str, list[str]]) -> None:
    seeded(db)
    rows = list(db[collection].find())
    top = {row["_id"]: row["name"] for row in rows if row.get("parentId") is None}
    assert {
        name: sorted(row["name"] for row in rows if row.get("parentId") == id_) for id_, name in top.items()
    } == tree


def test_resources_are_refreshed_as_the_contract_says(db: Db) -> None:
    seeded(db)
    fields = ("authTimeout", "refreshingTimeout", "maxReconnectionAttempts", "static")
    assert {row["name"]: tuple(row[f] for f in fields) for row in db["acl_resources"].find()} == {
        "accounts": (1000, 1000, 1, False),
        "workflows": (1000, 10000, 1, False),
        "workties": (1000, 1000, 1, False),
        "devices": (1000, 10000, 1, True),
        "payments": (1000, 1000, 1, False),
        "uisettings": (1000, 1000, 1, False),
        "dictionaries": (1000, 10000, 1, True),
    }


def test_the_roles_are_those_of_the_contract(db: Db) -> None:
    seeded(db)
    roles = {
        role["name"]: {rule["resources"]: " ".join(rule["permissions"]) for rule in role["allows"]}
        for role in db["acl_roles"].find()
    }
    assert set(roles["admin"].values()) == {"view create update delete"}
    assert len(roles["admin"]) == 7
    assert roles["regular"] == {
        "accounts": "view update delete",
        "workflows": "view create update delete",
        "workties": "view",
        "payments": "view create",
        "uisettings": "view update",
        "dictionaries": "view",
    }


def test_the_first_admin_gets_the_password_given_or_a_random_one(db: Db) -> None:
    assert seeded(db).generated_password is None
    other = embedded_database()
    create_indexes(other)
    generated = seeded(other, password="").generated_password
    admin = other["accounts"].find_one({"name": "supervisor"})
    assert generated is not None
    assert admin is not None
    assert (admin["email"], admin["aclRoleNames"]) == ("supervisor@localhost", ["admin"])
    assert PasswordHasher().verify(admin["password"], generated)


def test_an_email_of_an_account_that_is_no_admin_is_a_wrong_setting(db: Db) -> None:
    db["accounts"].insert_one({"emailKey": "ann@mail", "aclRoleNames": ["regular"]})
    with pytest.raises(BadSettings, match="WORKTY_ADMIN_EMAIL"):
        seeded(db, email="Ann@mail")


def test_built_in_worktys_are_free_approved_templates_with_their_code(db: Db) -> None:
    admin = seeded(db).admin_id
    approved = db["workty_validation_states"].find_one({"name": "approved"})
    assert approved is not None
    for builtin in builtin_packages():
        stored = db["workties"].find_one({"name": builtin.manifest.name})
        assert stored is not None
        assert (stored["accountId"], stored["template"], stored["price"]) == (admin, True, 0)
        assert stored["validationStateId"] == approved["_id"]
        assert stored["package"]["language"] == builtin.manifest.language
        package = db["packages"].find_one({"_id": stored["package"]["sha256"]})
        assert package is not None
        assert bytes(package["data"]) == builtin.data
        properties = [db["workty_properties"].find_one({"_id": id_}) for id_ in stored["propertiesIds"]]
        assert [p["name"] for p in properties if p] == [p.name for p in builtin.manifest.properties]


def test_a_built_in_workty_follows_the_installed_code_and_keeps_what_an_admin_changed(db: Db) -> None:
    seeded(db)
    current = db["workties"].find_one({"name": "with-delay"})
    assert current is not None
    older = {"name": "renamed", "price": 5, "package": {"sha256": "old"}}
    db["workties"].update_one({"_id": current["_id"]}, {"$set": older})
    seeded(db)
    assert db["workties"].find_one({"_id": current["_id"]}) == current | {"name": "renamed", "price": 5}


def test_a_new_version_of_a_built_in_workty_is_kept_beside_the_old_one(db: Db) -> None:
    seeded(db)
    current: Any = db["workties"].find_one({"name": "with-delay"})
    [delay] = current["propertiesIds"]
    declared = [{"name": name, "type": "any", "default": text} for name, text in (("delay", "9"), ("gone", "1"))]
    older = current["package"] | {"version": "0.1", "sha256": "old", "properties": declared}
    gone = db["workty_properties"].insert_one({"name": "gone", "value": 1}).inserted_id
    db["workty_properties"].update_one({"_id": delay}, {"$set": {"value": 9}})
    changed = {"package": older, "propertiesIds": [delay, gone]}
    db["workties"].update_one({"_id": current["_id"]}, {"$set": changed})
    db["workty_versions"].update_one({"worktyId": current["_id"]}, {"$set": {"version": "0.1", "sha256": "old"}})
    seeded(db)
    found = db["workty_versions"].find({"worktyId": current["_id"]})
    assert {row["version"]: row["sha256"] for row in found} == {
        "0.1": "old",
        current["package"]["version"]: current["package"]["sha256"],
    }
    assert db["workties"].find_one({"name": "with-delay"}) == current
    assert db["workty_properties"].find_one({"_id": gone}) is None
    [builtin] = [found for found in builtin_packages() if found.manifest.name == "with-delay"]
    stored: Any = db["workty_properties"].find_one({"_id": delay})
    assert stored["value"] == builtin.manifest.properties[0].default


def test_code_of_a_built_in_workty_that_was_replaced_is_given_up(db: Db) -> None:
    old = PackageStore(db).put(b"older")
    seeded(db)
    db["workties"].update_one({"name": "with-delay"}, {"$set": {"package.sha256": old}})
    seeded(db)
    assert [row["_id"] for row in db["packages"].find({"released": {"$exists": True}})] == [old]


def test_what_was_removed_comes_back(db: Db) -> None:
    seeded(db)
    before = names(db, "workties")
    db["workties"].delete_many({})
    db["acl_roles"].delete_one({"name": "regular"})
    seeded(db)
    assert names(db, "workties") == before
    assert names(db, "acl_roles") == {"admin", "regular"}
