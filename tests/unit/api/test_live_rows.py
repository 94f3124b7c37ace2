"""What the live API asks of every operation alike (live API contract, sections 2 to 4), row by row."""

from __future__ import annotations

from typing import Any

import pytest

from api.live.connecting import ENTITIES
from api.live.contexts import OPERATIONS
from tests.unit.api.live_client import LiveClient
from tests.unit.api.live_rows import EMPTY, ROWS, Row, objects, replaced, without

UNKNOWN = "5f" * 12
ALL = [row for rows in ROWS.values() for row in rows]
MISSING = (400, "BadDigest", "")


def made(world: Any, client: Any) -> dict[str, str]:
    """What the rows name: a workflow of the client with an instance, and a workty of the admin."""
    workflow = client.post("/workflows", {"name": "nightly"}).get_json()["_id"]
    template = world.template("with-delay")
    instance = client.post(f"/workflows/{workflow}/worktiesInstances", {"worktyId": template}).get_json()
    tool = world.admin.post("/workties", {"name": "tool"}).get_json()["_id"]
    entry = world.admin.post(f"/workties/{tool}/properties", {"property": {"name": "p"}}).get_json()["_id"]
    ids = {"workflow": workflow, "instance": instance["_id"], "property": instance["propertiesIds"][0]["_id"]}
    return ids | {"template": template, "tool": tool, "toolProperty": entry}


@pytest.fixture
def ids(world: Any, ann: Any) -> dict[str, str]:
    found = made(world, ann)
    world.settle()
    return found


def asker(world: Any, url: str, ann: Any, context: str) -> LiveClient:
    """Somebody who may do all: the owner of the workflows, an admin for the worktys."""
    return world.live(url, world.admin if context == "workties" else ann, context)  # type: ignore[no-any-return]


def refusal(client: LiveClient, row: Row, payload: Any) -> tuple[int, str, Any]:
    """How the one message that the client gets says no."""
    acknowledged = client.ask(row.context, row.event, payload)
    told = client.next(row.context, f"sv.{ENTITIES[row.context]}.changed")
    assert told == acknowledged
    assert set(told) <= {"err", "requestId"}
    assert told["err"] is not None, payload
    error = told["err"]
    return error["statusCode"], error["restCode"], error["body"]["error"]["code"]


def content(world: Any) -> str:
    names = ("workflows", "workty_instances", "workty_properties", "workties", "ui_settings", "runs")
    return repr([(name, world.db[name].find(sort=[("_id", 1)]).to_list()) for name in names])


def test_every_operation_of_these_contexts_has_its_row() -> None:
    for context, rows in ROWS.items():
        assert {row.event: row.needs for row in rows} == {
            event: operation.needs for event, operation in OPERATIONS[context].items()
        }


@pytest.mark.parametrize("row", [row for row in ALL if row.missing], ids=lambda row: row.event)
def test_what_is_missing_or_empty_is_told_and_changes_nothing(
    world: Any, live_url: str, ann: Any, ids: dict[str, str], row: Row
) -> None:
    payload, before = row.filled(ids), content(world)
    with asker(world, live_url, ann, row.context) as client:
        assert refusal(client, row, None) == MISSING
        for path in row.missing:
            assert refusal(client, row, without(payload, path)) == MISSING
            for empty in EMPTY:
                assert refusal(client, row, replaced(payload, path, empty)) == MISSING
    assert content(world) == before


@pytest.mark.parametrize("row", [row for row in ALL if row.missing], ids=lambda row: row.event)
def test_an_object_that_is_none_is_told_and_changes_nothing(
    world: Any, live_url: str, ann: Any, ids: dict[str, str], row: Row
) -> None:
    payload, before = row.filled(ids), content(world)
    with asker(world, live_url, ann, row.context) as client:
        assert refusal(client, row, "text") == MISSING
        assert refusal(client, row, [payload]) == MISSING
        for path in objects(row):
            for wrong in ("text", 5, True, [1]):
                assert refusal(client, row, replaced(payload, path, wrong)) == MISSING
    assert content(world) == before


@pytest.mark.parametrize("row", [row for row in ALL if row.codes], ids=lambda row: row.event)
def test_a_malformed_id_is_one_that_does_not_exist_and_so_is_a_strangers(
    world: Any, live_url: str, ann: Any, ids: dict[str, str], row: Row
) -> None:
    payload, theirs = row.filled(ids), row.filled(made(world, world.account("bob")))
    before = content(world)
    with asker(world, live_url, ann, row.context) as client:
        for path, code in row.codes.items():
            wrong = [UNKNOWN, "nonsense", 7, ["a"], {"$ne": ""}, ids["workflow"][:-1]]
            if row.context != "workties" and path != "workty.id":
                wrong.append(_at(theirs, path))
            for value in wrong:
                expected = (500, "UnexpectedError", code)
                assert refusal(client, row, replaced(payload, path, value)) == expected
    assert content(world) == before


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.event)
def test_who_has_no_role_for_it_is_refused_before_anything_is_looked_at(
    world: Any, live_url: str, ann: Any, ids: dict[str, str], row: Row
) -> None:
    nobody = world.account("nobody")
    answer = world.admin.put(f"/accounts/{world.account_id(nobody)}", {"aclRoleNames": []})
    assert answer.status_code == 200
    before = content(world)
    with world.live(live_url, nobody, row.context) as client:
        for payload in (None, row.filled(ids)):
            assert refusal(client, row, payload) == (500, "UnexpectedError", 13)
    assert content(world) == before


@pytest.mark.parametrize("row", [row for row in ROWS["workties"] if row.needs != "view"], ids=lambda row: row.event)
def test_a_regular_account_only_views_worktys(
    world: Any, live_url: str, ann: Any, ids: dict[str, str], row: Row
) -> None:
    before = content(world)
    with world.live(live_url, ann, "workties") as client:
        assert refusal(client, row, row.filled(ids)) == (500, "UnexpectedError", 13)
    assert content(world) == before


def test_an_error_repeats_what_was_sent_without_secrets(
    world: Any, live_url: str, ann: Any, ids: dict[str, str]
) -> None:
    sent = {
        "workflow": {"id": UNKNOWN, "name": "n", "accountId": "a", "password": "p", "token": "t"},
        "accountId": "a",
        "compressedCode": "c",
        "requestId": "r-1",
    }
    with world.live(live_url, ann, "workflows") as client:
        told = client.ask("workflows", "sv.workflow.upd", sent)
        assert told["requestId"] == "r-1"
        assert told["err"]["body"]["error"]["inputParameters"] == {"workflow": {"id": UNKNOWN, "name": "n"}}
        assert told["err"]["body"]["error"]["error_link"].endswith("/v1/3")


def _at(payload: Any, path: str) -> Any:
    for name in path.split("."):
        payload = payload[name]
    return payload
