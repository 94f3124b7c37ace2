"""Instances of worktys in a workflow over REST."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.workflows.instances import MAX_INSTANCES

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


def test_a_new_instance_is_initial_and_has_its_own_properties(world: Any, ann: Any, workflow: str, path: str) -> None:
    answer = add(world, ann, path, name="one", desc="first", stateId=UNKNOWN)
    instance = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost/api/v1{path}/{instance['_id']}"
    [delay] = instance["propertiesIds"]
    template = ann.get(f"/workties/{instance['worktyId']}", embed="properties").get_json()["propertiesIds"][0]
    assert (delay["name"], delay["value"]) == (template["name"], template["value"])
    assert delay["_id"] != template["_id"]
    assert (instance["workflowId"], instance["name"], instance["desc"]) == (workflow, "one", "first")
    found = ann.get(f"{path}/{instance['_id']}", embed="state,properties").get_json()
    assert found.pop("stateId")["name"] == "initial"
    instance.pop("stateId")
    assert found == instance
    assert list(instance)[:7] == ["_id", "workflowId", "worktyId", "name", "desc", "propertiesIds", "created"]
    assert list(instance)[7:] == ["version", "policy"]


def test_documents_replace_ids_where_asked_for(world: Any, ann: Any, workflow: str, path: str) -> None:
    made = add(world, ann, path, embed="workflow").get_json()
    assert made["workflowId"]["worktiesInstancesIds"] == [made["_id"]]
    for key in ("workty", "worktyinstance"):
        [found] = ann.get(path, embed=f"workflow,{key}").get_json()
        assert (found["workflowId"]["_id"], found["worktyId"]["name"]) == (workflow, "with-delay")
        assert isinstance(found["stateId"], str)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ({}, "abcN"),
        ({"position_type": "first"}, "Nabc"),
        ({"position_type": "LAST"}, "abcN"),
        ({"position_index": 0}, "Nabc"),
        ({"position_index": 2}, "abNc"),
        ({"position_index": "3"}, "abcN"),
        ({"position_id": "b"}, "aNbc"),
        ({"position_type": "first", "position_index": 9, "position_id": "x"}, "Nabc"),
        ({"position_index": 1, "position_id": "x"}, "aNbc"),
        ({"position_type": None, "position_index": None, "position_id": None}, "abcN"),
    ],
)
def test_an_instance_goes_where_its_position_says(
    world: Any, ann: Any, path: str, position: dict[str, Any], expected: str
) -> None:
    ids = {name: add(world, ann, path, name=name).get_json()["_id"] for name in "abc"}
    if position.get("position_id") in ids:
        position = {"position_id": ids[position["position_id"]].upper()}
    assert add(world, ann, path, name="N", **position).status_code == 201
    assert order(ann, path) == expected


@pytest.mark.parametrize(
    ("position", "number"),
    [
        ({"position_type": "middle"}, 12),
        ({"position_type": 1}, 12),
        ({"position_type": ""}, 12),
        ({"position_index": -1}, 10),
        ({"position_index": 2}, 10),
        ({"position_index": 0.5}, 10),
        ({"position_index": True}, 10),
        ({"position_index": "one"}, 10),
        ({"position_index": "9" * 5000}, 10),
        ({"position_index": []}, 10),
        ({"position_id": UNKNOWN}, 11),
        ({"position_id": "x"}, 11),
        ({"position_id": {}}, 11),
    ],
)
def test_a_position_that_is_none_is_refused_and_nothing_is_stored(
    world: Any, ann: Any, path: str, position: dict[str, Any], number: int
) -> None:
    add(world, ann, path, name="a")
    properties = world.db["workty_properties"].count_documents({})
    assert code(add(world, ann, path, **position)) == (400, number)
    assert order(ann, path) == "a"
    assert world.db["workty_properties"].count_documents({}) == properties


def test_a_position_may_come_in_the_query(world: Any, ann: Any, path: str) -> None:
    add(world, ann, path, name="a")
    body = {"worktyId": world.template("with-delay"), "name": "b", "position_type": "last"}
    assert ann.post(path, body, query_string={"position_type": "first"}).status_code == 201
    assert order(ann, path) == "ba"


def test_instances_added_at_once_are_all_there(world: Any, ann: Any, path: str) -> None:
    def at_front(name: str) -> int:
        return int(
            add(
                world, ann.__class__(world.app.test_client(), ann.authorization), path, name=name, position_index=0
            ).status_code
        )

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(at_front, "abcdefgh")) == {201}
    assert sorted(order(ann, path)) == list("abcdefgh")


@pytest.mark.parametrize("body", [{}, {"worktyId": None}, {"worktyId": " ", "position_type": "middle"}])
def test_a_workty_is_required_before_all_else(ann: Any, path: str, body: dict[str, Any]) -> None:
    for where in (path, f"/workflows/{UNKNOWN}/worktiesInstances"):
        answer = ann.post(where, body)
        assert answer.status_code == 409
        assert answer.get_json()["error"]["errors"] == [{"message": "Path `worktyId` is required."}]


@pytest.mark.parametrize("workty", [UNKNOWN, "x", 5, {"$ne": None}, [UNKNOWN]])
def test_an_unknown_workty_is_not_found(ann: Any, path: str, workty: Any) -> None:
    assert code(ann.post(path, {"worktyId": workty})) == (404, 2)


def test_which_worktys_may_be_used(world: Any, ann: Any, path: str, workflow: str) -> None:
    template = world.db["workties"].find_one({"name": "with-delay"})
    own, bobs = ObjectId(world.account_id(ann)), ObjectId(UNKNOWN)
    kinds = {
        "own": {"accountId": own, "template": False, "price": 500},
        "paid": {"template": True, "price": 1},
        "foreign": {"accountId": bobs, "template": False, "price": 0},
    }
    ids = {}
    for name, fields in kinds.items():
        stored = template | fields | {"_id": ObjectId()}
        world.db["workties"].insert_one(stored)
        ids[name] = str(stored["_id"])
    assert ann.post(path, {"worktyId": ids["own"]}).status_code == 201
    assert code(ann.post(path, {"worktyId": ids["paid"]})) == (403, 17)
    assert code(ann.post(path, {"worktyId": ids["foreign"]})) == (404, 2)
    for id_ in ids.values():
        assert world.admin.post(path, {"worktyId": id_}).status_code == 201


def test_a_workflow_of_somebody_else_takes_no_instances(world: Any, bob: Any, path: str, ann: Any) -> None:
    assert code(add(world, bob, path)) == (404, 2)
    assert order(ann, path) == ""


def test_lists_follow_the_workflow_ten_at_a_time(world: Any, ann: Any, path: str) -> None:
    for number in range(12):
        add(world, ann, path, name=chr(ord("a") + number), position_type="first")
    assert order(ann, path) == "lkjihgfedc"
    for query, expected in (
        ({"page_num": 2}, "ba"),
        ({"per_page": 3, "page_num": 2}, "ihg"),
        ({"per_page": 250}, "lkjihgfedcba"),
        ({"sort": "name", "per_page": 3}, "abc"),
        ({"sort": "-name", "per_page": 3, "page_num": 2}, "ihg"),
        ({"sort": "desc", "per_page": 2}, "lk"),
        ({"name": "a"}, "a"),
        ({"page_num": 3}, ""),
    ):
        assert "".join(i["name"] for i in ann.get(path, **query).get_json()) == expected, query
    assert ann.get(path, per_page=251).status_code == 400
    assert ann.get(path, propertiesIds=UNKNOWN).status_code == 400


def test_lists_can_be_filtered_and_sorted_by_state(world: Any, ann: Any, workflow: str, path: str) -> None:
    for name in "ab":
        add(world, ann, path, name=name)
    ann.put(f"/workflows/{workflow}/running")
    states = {row["name"]: str(row["_id"]) for row in world.db["workty_instance_states"].find()}
    assert [i["name"] for i in ann.get(path, stateId=states["waiting"]).get_json()] == ["a"]
    assert [i["name"] for i in ann.get(path, stateId=states["initial"]).get_json()] == ["b"]
    by_state = [i["stateId"] for i in ann.get(path, sort="-stateId").get_json()]
    assert by_state == sorted(by_state, reverse=True)


def test_an_instance_of_another_workflow_is_not_found(world: Any, ann: Any, path: str) -> None:
    other = ann.post("/workflows", {"name": "other"}).get_json()["_id"]
    instance = add(world, ann, path).get_json()["_id"]
    for id_ in (instance, UNKNOWN, "x"):
        assert code(ann.get(f"/workflows/{other}/worktiesInstances/{id_}")) == (404, 2)


def test_a_property_is_changed_in_name_and_value(world: Any, ann: Any, path: str) -> None:
    instance = add(world, ann, path).get_json()
    url = f"{path}/{instance['_id']}/properties/{instance['propertiesIds'][0]['_id']}"
    answer = ann.put(url, {"value": {"a": [1, None, "ä"]}, "_id": UNKNOWN})
    assert (answer.status_code, answer.get_json()["value"]) == (200, {"a": [1, None, "ä"]})
    assert ann.put(url, {"name": "pause", "value": None}).get_json() == {
        "_id": instance["propertiesIds"][0]["_id"],
        "name": "pause",
        "value": None,
    }
    assert world.runs.told == []


def test_a_run_is_told_all_properties_of_the_changed_instance(world: Any, ann: Any, workflow: str, path: str) -> None:
    instance = add(world, ann, path).get_json()
    property_id = instance["propertiesIds"][0]["_id"]
    ann.put(f"/workflows/{workflow}/running")
    ann.put(f"{path}/{instance['_id']}/properties/{property_id}", {"value": 7})
    told = (
        "properties",
        ObjectId(workflow),
        ObjectId(instance["_id"]),
        [{"id": property_id, "name": "delay", "value": 7}],
    )
    assert told in world.runs.told


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"other": 1, "_id": UNKNOWN}, 400),
        ({"name": ""}, 409),
        ({"name": None, "value": 1}, 409),
        ({"name": 5}, 409),
        ({"value": "x" * 70_000}, 409),
        ({"value": 2**63}, 409),
        ({"value": [{"a": "\ud800"}]}, 409),
        ({"value": {"\0": 1}}, 409),
        ({"value": {"$ref": "x", "$id": 1}}, 409),
        ({"value": 1e999}, 400),
    ],
)
def test_a_wrong_change_of_a_property_is_refused(
    world: Any, ann: Any, path: str, body: dict[str, Any], status: int
) -> None:
    instance = add(world, ann, path).get_json()
    url = f"{path}/{instance['_id']}/properties/{instance['propertiesIds'][0]['_id']}"
    assert ann.put(url, body).status_code == status
    assert (
        ann.get(f"{path}/{instance['_id']}", embed="properties").get_json()["propertiesIds"]
        == (instance["propertiesIds"])
    )


def test_a_property_of_another_instance_is_not_found(world: Any, ann: Any, bob: Any, path: str) -> None:
    one, two = add(world, ann, path).get_json(), add(world, ann, path).get_json()
    own, other = one["propertiesIds"][0]["_id"], two["propertiesIds"][0]["_id"]
    for id_ in (other, UNKNOWN, "x"):
        assert code(ann.put(f"{path}/{one['_id']}/properties/{id_}", {"value": 1})) == (404, 2)
    assert code(bob.put(f"{path}/{one['_id']}/properties/{own}", {"value": 1})) == (404, 2)
    assert code(ann.put(f"{path}/{one['_id']}/properties/x", {})) == (400, "")


def test_a_workflow_takes_no_more_instances_than_it_may_have(world: Any, ann: Any, workflow: str, path: str) -> None:
    ids = [ObjectId() for _ in range(MAX_INSTANCES - 1)]
    world.db["workflows"].update_one({"_id": ObjectId(workflow)}, {"$set": {"worktiesInstancesIds": ids}})
    assert add(world, ann, path).status_code == 201
    refused = add(world, ann, path)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (409, 6)
    assert refused.get_json()["error"]["message"].startswith("Max workflow instances limit")
    assert world.db["workty_instances"].count_documents({"workflowId": ObjectId(workflow)}) == 1
