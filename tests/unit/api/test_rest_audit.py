"""The audit trail: who did what, and who was refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from pymongo.errors import AutoReconnect

from api.server import create_app
from orchestrator.audit.service import AuditService
from orchestrator.embedded import embedded_database


def trail(world: Any, **query: Any) -> list[dict[str, Any]]:
    """Entries, oldest first."""
    found: list[dict[str, Any]] = world.admin.get("/audit", **{"sort": "_id", **query}).get_json()
    return found


def test_a_change_is_kept_with_who_what_when_and_from_where(world: Any, ann: Any) -> None:
    world.clock.pass_time(minutes=1)
    created = ann.post("/workflows", {"name": "secret plan"}).get_json()
    [entry] = trail(world, email="ann@mail")
    assert entry == {
        "_id": entry["_id"],
        "accountId": created["accountId"],
        "email": "ann@mail",
        "operation": "POST /workflows",
        "entity": "workflows",
        "entityId": created["_id"],
        "address": "127.0.0.1",
        "result": "201",
        "created": "2026-01-02T03:05:05.000Z",
    }


def test_operations_name_the_entity_that_they_change(world: Any, ann: Any) -> None:
    workflow = f"/workflows/{ann.post('/workflows', {'name': 'w'}).get_json()['_id']}"
    body = {"worktyId": world.template("with-delay")}
    instance = ann.post(f"{workflow}/worktiesInstances", body).get_json()
    property_id = instance["propertiesIds"][0]["_id"]
    ann.put(f"{workflow}/worktiesInstances/{instance['_id']}/properties/{property_id}", {"value": 1})
    ann.send("PUT", f"{workflow}/running")
    ann.delete(workflow)
    own = "/workflows/{id}"
    assert [(e["operation"], e["entity"], e.get("entityId"), e["result"]) for e in trail(world, email="ann@mail")] == [
        ("POST /workflows", "workflows", workflow.rpartition("/")[2], "201"),
        (f"POST {own}/worktiesInstances", "worktiesInstances", instance["_id"], "201"),
        (
            f"PUT {own}/worktiesInstances/{{worktyInstanceId}}/properties/{{propertyId}}",
            "properties",
            property_id,
            "200",
        ),
        (f"PUT {own}/running", "workflows", workflow.rpartition("/")[2], "200"),
        (f"DELETE {own}", "workflows", workflow.rpartition("/")[2], "204"),
    ]


def test_reading_and_refused_changes_are_not_kept(world: Any, ann: Any) -> None:
    before = len(trail(world))
    ann.get("/workflows")
    ann.send("HEAD", "/workflows")
    ann.post("/workflows", {})
    ann.post("/accounts", {"email": "x@y"})
    assert len(trail(world)) == before


def test_refused_logins_are_kept_also_of_unknown_and_removed_accounts(world: Any, ann: Any) -> None:
    world.client("ann@mail", "wrong").get("/workflows")
    world.client("nobody@mail", "wrong").get("/workflows")
    world.client("my password", "x").get("/workflows")
    ann.delete(f"/accounts/{world.account_id(ann)}")
    ann.get("/workflows")
    found = [(e["email"], e["entity"], e["address"], e["result"]) for e in trail(world, operation="login")]
    assert found == [
        ("ann@mail", "accounts", "127.0.0.1", "401"),
        ("nobody@mail", "accounts", "127.0.0.1", "401"),
        ("", "accounts", "127.0.0.1", "401"),
        ("ann@mail", "accounts", "127.0.0.1", "403"),
    ]


def test_a_login_with_a_token_that_is_none_and_without_credentials_is_no_refused_login(world: Any) -> None:
    client = world.client()
    client.authorization = "Bearer x"
    client.get("/workflows")
    world.client().get("/workflows")
    assert trail(world, operation="login") == []


def test_the_trail_has_no_secrets(world: Any) -> None:
    account = world.admin.post("/accounts", {"email": "a@b"}).get_json()
    initial = account["initialPassword"]
    world.admin.put(f"/accounts/{account['_id']}", {"password": "geheim"})
    token = world.client("a@b", "geheim").post("/tokens").get_json()["token"]
    world.client("a@b", "guess").get("/workflows")
    kept = str(list(world.db["audit"].find()))
    assert not any(secret in kept for secret in (initial, "geheim", token, "guess", "$argon2"))


def test_the_trail_is_sorted_filtered_and_paged_like_other_lists(world: Any, ann: Any) -> None:
    for name in "abc":
        ann.post("/workflows", {"name": name})
    own = trail(world, email="ann@mail")
    assert trail(world, email="ann@mail", sort="-_id") == own[::-1]
    assert trail(world, email="ann@mail", per_page=2, page_num=2) == own[2:]
    assert trail(world, entityId=own[1]["entityId"], fields="operation") == [
        {"_id": own[1]["_id"], "operation": "POST /workflows"}
    ]
    assert world.admin.get("/audit", expires="2027-01-01").status_code == 400


def test_the_newest_entries_come_first_and_not_all_at_once(world: Any, ann: Any) -> None:
    world.db["audit"].delete_many({})
    world.db["audit"].insert_many([{"operation": str(n), "created": world.clock()} for n in range(251)])
    answer = world.admin.get("/audit").get_json()
    assert [entry["operation"] for entry in answer] == [str(n) for n in range(250, 0, -1)]


def test_only_admins_read_the_trail(world: Any, ann: Any) -> None:
    answer = ann.get("/audit")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, 13)


def test_an_entry_ends_after_the_days_of_the_setting(world: Any, ann: Any) -> None:
    ann.post("/workflows", {"name": "w"})
    entry = world.db["audit"].find_one({"email": "ann@mail"})
    assert entry["expires"] - entry["created"] == timedelta(days=365)
    assert world.db["audit"].index_information()["expiry"]["key"] == [("expires", 1)]


def test_a_change_that_was_made_is_answered_even_if_it_cannot_be_kept(world: Any, caplog: Any) -> None:
    def gone(*_: str) -> None:
        raise AutoReconnect("gone")

    broken = AuditService(embedded_database(observe=gone), world.clock, days=1)
    world.app, _ = create_app(replace(world.services, audit=broken))
    assert world.admin.post("/workflows", {"name": "w"}).status_code == 201
    assert "POST /workflows by 'supervisor@localhost' from 127.0.0.1" in caplog.text
