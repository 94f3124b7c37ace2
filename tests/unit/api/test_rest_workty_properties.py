"""Properties of worktys over REST."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.catalogue.properties import MAX_PROPERTIES

UNKNOWN = "5f" * 12


@pytest.fixture
def tool(world: Any) -> str:
    return f"/workties/{world.admin.post('/workties', {'name': 'tool', 'template': True}).get_json()['_id']}"


def added(world: Any, tool: str, name: str = "p", **rest: Any) -> Any:
    return world.admin.post(f"{tool}/properties", {"property": {"name": name, **rest}}).get_json()


def properties(world: Any, tool: str) -> Any:
    return world.admin.get(tool, embed="properties").get_json()["propertiesIds"]


def test_a_new_property_comes_last_and_has_an_address(world: Any, tool: str) -> None:
    first = added(world, tool, "first")
    answer = world.admin.post(f"{tool}/properties", {"property": {"name": "second", "value": {"a": [1, None]}}})
    second = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost/api/v1{tool}/properties/{second['_id']}"
    assert first == {"_id": first["_id"], "name": "first", "value": ""}
    assert second == {"_id": second["_id"], "name": "second", "value": {"a": [1, None]}}
    assert properties(world, tool) == [first, second]
    assert world.admin.send("GET", f"{tool}/properties").status_code == 405


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}, 1.5, "ä"])
def test_a_value_may_be_any_json(world: Any, tool: str, value: Any) -> None:
    made = added(world, tool, value=value)
    assert made["value"] == value
    changed = world.admin.put(f"{tool}/properties/{made['_id']}", {"property": {"value": [value]}}).get_json()
    assert changed == made | {"value": [value]}


@pytest.mark.parametrize(
    "body", [{}, {"name": "p"}, {"property": None}, {"property": "p"}, {"property": []}, {"property": {"value": 1}}]
)
def test_a_new_property_needs_a_name_before_all_else(world: Any, tool: str, body: dict[str, Any]) -> None:
    for path in (tool, f"/workties/{UNKNOWN}"):
        answer = world.admin.post(f"{path}/properties", body)
        assert answer.status_code == 409
        assert answer.get_json()["error"]["errors"] == [{"message": "Path `name` is required."}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"name": "top", "value": 1}, 400),
        ({"property": None}, 400),
        ({"property": {}}, 400),
        ({"property": "p"}, 400),
        ({"property": {"other": 1, "_id": UNKNOWN}}, 400),
        ({"property": {"name": ""}}, 409),
        ({"property": {"name": None, "value": 1}}, 409),
        ({"property": {"name": 5}}, 409),
        ({"property": {"name": "x" * 257}}, 409),
        ({"property": {"value": "x" * 70_000}}, 409),
        ({"property": {"value": {"$ref": "x"}}}, 409),
        ({"property": {"name": "good", "value": 2**63}}, 409),
    ],
)
def test_a_wrong_change_of_a_property_is_refused(world: Any, tool: str, body: dict[str, Any], status: int) -> None:
    made = added(world, tool)
    answer = world.admin.put(f"{tool}/properties/{made['_id']}", body)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, "")
    assert properties(world, tool) == [made]


@pytest.mark.parametrize(
    "sent", [{"name": 5}, {"name": "x" * 257}, {"name": "p", "value": "x" * 70_000}, {"name": "p", "value": 2**63}]
)
def test_a_wrong_new_property_leaves_nothing(world: Any, tool: str, sent: dict[str, Any]) -> None:
    before = world.db["workty_properties"].count_documents({})
    assert world.admin.post(f"{tool}/properties", {"property": sent}).status_code == 409
    assert properties(world, tool) == []
    assert world.db["workty_properties"].count_documents({}) == before


def test_a_removed_property_is_gone(world: Any, tool: str) -> None:
    kept, gone = added(world, tool, "kept"), added(world, tool, "gone")
    answer = world.admin.delete(f"{tool}/properties/{gone['_id']}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert properties(world, tool) == [kept]
    assert world.db["workty_properties"].count_documents({"name": "gone"}) == 0
    assert world.admin.delete(f"{tool}/properties/{gone['_id']}").status_code == 404


def test_properties_of_other_worktys_are_not_found(world: Any, tool: str) -> None:
    other = world.admin.get("/workties", name="with-delay").get_json()[0]["propertiesIds"][0]
    before = world.db["workty_properties"].find(sort=[("_id", 1)]).to_list()
    own = added(world, tool)["_id"]
    for path in (f"{tool}/properties/{other}", f"{tool}/properties/x", f"/workties/{UNKNOWN}/properties/{own}"):
        for answer in (world.admin.put(path, {"property": {"value": 1}}), world.admin.delete(path)):
            assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, 2)
    assert world.admin.post(f"/workties/{UNKNOWN}/properties", {"property": {"name": "p"}}).status_code == 404
    world.admin.delete(f"{tool}/properties/{own}")
    assert world.db["workty_properties"].find(sort=[("_id", 1)]).to_list() == before


def test_instances_that_exist_keep_their_own_properties(world: Any, ann: Any, tool: str) -> None:
    made = added(world, tool, "p", value=1)
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    path = f"/workflows/{workflow}/worktiesInstances"
    [copied] = ann.post(path, {"worktyId": tool.rpartition("/")[2]}).get_json()["propertiesIds"]
    world.admin.put(f"{tool}/properties/{made['_id']}", {"property": {"name": "q", "value": 2}})
    world.admin.delete(f"{tool}/properties/{made['_id']}")
    assert ann.get(path, embed="properties").get_json()[0]["propertiesIds"] == [copied]
    assert (copied["name"], copied["value"]) == ("p", 1)


def test_a_workty_takes_no_more_properties_than_it_may_have(world: Any, tool: str) -> None:
    ids = [ObjectId() for _ in range(MAX_PROPERTIES - 1)]
    world.db["workties"].update_one({"_id": ObjectId(tool.rpartition("/")[2])}, {"$set": {"propertiesIds": ids}})
    stored = world.db["workty_properties"].count_documents({})
    assert added(world, tool)["name"] == "p"
    refused = added(world, tool)["error"]["errors"]
    assert refused == [{"message": "Path `propertiesIds` has 256 properties already, the most it may."}]
    assert world.db["workty_properties"].count_documents({}) == stored + 1
