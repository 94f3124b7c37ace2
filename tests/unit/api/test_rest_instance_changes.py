"""Instances that are moved, changed and deleted over REST."""

from __future__ import annotations

from typing import Any

import pytest

UNKNOWN = "5f" * 12


@pytest.fixture
def workflow(ann: Any) -> str:
    return str(ann.post("/workflows", {"name": "nightly"}).get_json()["_id"])


@pytest.fixture
def path(workflow: str) -> str:
    return f"/workflows/{workflow}/worktiesInstances"


def add(world: Any, client: Any, path: str, **body: Any) -> Any:
    return client.post(path, {"worktyId": world.template("with-delay")} | body)


def order(client: Any, path: str) -> str:
    return "".join(instance["name"] for instance in client.get(path).get_json())


def code(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()["error"]["code"]


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ({"position_type": "first"}, "bacd"),
        ({"position_type": "Last"}, "acdb"),
        ({"position_index": 0}, "bacd"),
        ({"position_index": 1}, "abcd"),
        ({"position_index": "2"}, "acbd"),
        ({"position_index": 3}, "acdb"),
        ({"position_index": 4}, "acdb"),
        ({"position_id": "a"}, "bacd"),
        ({"position_id": "b"}, "abcd"),
        ({"position_id": "c"}, "abcd"),
        ({"position_id": "d"}, "acbd"),
        ({"position_type": "first", "position_index": 9, "position_id": "x"}, "bacd"),
        ({"position_index": 0, "position_id": "x"}, "bacd"),
        ({"name": "b", "position_type": None, "position_index": None, "position_id": None}, "abcd"),
    ],
)
def test_an_instance_moves_where_its_position_says(
    world: Any, ann: Any, path: str, position: dict[str, Any], expected: str
) -> None:
    ids = {name: add(world, ann, path, name=name).get_json()["_id"] for name in "abcd"}
    if position.get("position_id") in ids:
        position = position | {"position_id": ids[position["position_id"]]}
    answer = ann.put(f"{path}/{ids['b']}", position)
    assert (answer.status_code, answer.get_json()["_id"]) == (200, ids["b"])
    assert order(ann, path) == expected


@pytest.mark.parametrize(
    ("position", "number"),
    [
        *(({"position_type": kind}, 12) for kind in ("middle", "", 1, [])),
        *(({"position_index": index}, 10) for index in (-1, 3, 0.5, True, "one", [], "9" * 5000)),
        *(({"position_id": id_}, 11) for id_ in (UNKNOWN, "x", {}, "")),
        ({"position_type": "middle", "position_index": 0, "name": "N"}, 12),
    ],
)
def test_a_move_to_nowhere_changes_nothing(
    world: Any, ann: Any, path: str, position: dict[str, Any], number: int
) -> None:
    ids = [add(world, ann, path, name=name).get_json()["_id"] for name in "ab"]
    before = ann.get(path).get_json()
    assert code(ann.put(f"{path}/{ids[0]}", {"name": 5} | position)) == (400, number)
    assert ann.get(path).get_json() == before


def test_name_and_desc_of_an_instance_are_changed_and_what_is_read_only_is_not(
    world: Any, ann: Any, workflow: str, path: str
) -> None:
    made = add(world, ann, path, name="one", desc="first").get_json()
    read_only = {"worktyId": UNKNOWN, "workflowId": UNKNOWN, "propertiesIds": [], "stateId": UNKNOWN, "_id": UNKNOWN}
    url = f"{path}/{made['_id']}"
    assert ann.put(url, {"name": "two"} | read_only).get_json() == made | {"name": "two"}
    assert ann.put(url, {"name": None, "desc": ""}).get_json() == made | {"name": "", "desc": ""}
    shown = ann.put(url, {"desc": "d", "embed": "workty, State,workflow"}).get_json()
    assert (shown["worktyId"]["name"], shown["stateId"]["name"]) == ("with-delay", "initial")
    assert shown["workflowId"]["_id"] == workflow
    assert shown["propertiesIds"] == made["propertiesIds"]
    assert ann.put(url, {"name": "three"}, query_string={"embed": "state"}).get_json()["stateId"]["name"] == "initial"
    assert code(ann.put(url, read_only)) == (400, "")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"position_type": None}, 400),
        ({"other": 1}, 400),
        ({"name": 5}, 409),
        ({"name": "x" * 257}, 409),
        ({"desc": "x" * 4097, "name": "good"}, 409),
        ({"desc": {}, "position_type": "first"}, 409),
        ({"name": "good", "embed": 5}, 400),
    ],
)
def test_a_wrong_change_of_an_instance_is_refused(
    world: Any, ann: Any, path: str, body: dict[str, Any], status: int
) -> None:
    ids = [add(world, ann, path, name=name).get_json()["_id"] for name in "ab"]
    before = ann.get(path).get_json()
    assert code(ann.put(f"{path}/{ids[1]}", body)) == (status, "")
    assert ann.get(path).get_json() == before
    if status == 400:
        assert code(ann.put(f"{path}/{UNKNOWN}", body)) == (400, "")


def test_a_deleted_instance_is_gone_with_its_properties(world: Any, ann: Any, workflow: str, path: str) -> None:
    ids = {name: add(world, ann, path, name=name).get_json()["_id"] for name in "abc"}
    before = world.db["workty_properties"].count_documents({})
    answer = ann.delete(f"{path}/{ids['b']}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert order(ann, path) == "ac"
    assert ann.get(f"/workflows/{workflow}").get_json()["worktiesInstancesIds"] == [ids["a"], ids["c"]]
    assert world.db["workty_instances"].count_documents({}) == 2
    assert world.db["workty_properties"].count_documents({}) == before - 1
    assert code(ann.delete(f"{path}/{ids['b']}")) == (404, 2)
    assert code(ann.get(f"{path}/{ids['b']}")) == (404, 2)


def test_an_instance_that_a_run_has_still_to_end_cannot_be_deleted(
    world: Any, ann: Any, workflow: str, path: str
) -> None:
    instance = add(world, ann, path, name="a").get_json()["_id"]
    ann.put(f"/workflows/{workflow}/running")
    assert code(ann.delete(f"{path}/{instance}")) == (409, 8)
    assert order(ann, path) == "a"
    [run] = world.runs.runs.values()
    run[instance] = "completed"
    assert ann.delete(f"{path}/{instance}").status_code == 204


def test_an_instance_is_changed_and_deleted_in_its_own_workflow_only(world: Any, ann: Any, bob: Any, path: str) -> None:
    other = ann.post("/workflows", {"name": "other"}).get_json()["_id"]
    instance = add(world, ann, path, name="a").get_json()["_id"]
    for client, url in (
        (ann, f"/workflows/{other}/worktiesInstances/{instance}"),
        (ann, f"{path}/{UNKNOWN}"),
        (ann, f"{path}/x"),
        (ann, f"/workflows/x/worktiesInstances/{instance}"),
        (bob, f"{path}/{instance}"),
    ):
        assert code(client.put(url, {"name": "b", "position_type": "middle"})) == (404, 2)
        assert code(client.delete(url)) == (404, 2)
    assert order(ann, path) == "a"
    assert world.admin.put(f"{path}/{instance}", {"name": "b"}).status_code == 200
    assert world.admin.delete(f"{path}/{instance}").status_code == 204
