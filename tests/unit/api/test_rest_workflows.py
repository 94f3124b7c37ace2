"""Workflows over REST: what they hold, whose they are, and the commands that run them."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

UNKNOWN = "5f" * 12
NO_PERMUTATION = "Path `worktiesInstancesIds` is no permutation of the present instances."
EVERYTHING = ", ".join(
    ["account", "worktiesInstances", *(f"worktiesinstances.{key}" for key in ("state", "properties", "workty"))]
)


def made(client: Any, name: str = "nightly") -> str:
    return str(client.post("/workflows", {"name": name}).get_json()["_id"])


def added(world: Any, client: Any, workflow: str, name: str = "", workty: str = "with-delay") -> str:
    body = {"worktyId": world.template(workty), "name": name}
    answer = client.post(f"/workflows/{workflow}/worktiesInstances", body)
    assert answer.status_code == 201
    return str(answer.get_json()["_id"])


def test_a_new_workflow_is_empty_and_belongs_to_its_maker(world: Any, ann: Any) -> None:
    answer = ann.post("/workflows", {"name": "nightly"})
    workflow = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost/api/v1/workflows/{workflow['_id']}"
    assert workflow == {
        "_id": workflow["_id"],
        "name": "nightly",
        "desc": "",
        "accountId": world.account_id(ann),
        "worktiesInstancesIds": [],
        "created": "2026-01-02T03:04:05.000Z",
    }
    assert ann.get(f"/workflows/{workflow['_id']}").get_json() == workflow
    assert ann.get("/workflows").get_json() == [workflow]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "Path `name` is required."),
        ({"name": None}, "Path `name` is required."),
        ({"name": " \t"}, "Path `name` is required."),
        ({"name": {"$gt": ""}}, "Path `name` is not a text."),
        ({"name": "x" * 257}, "Path `name` is longer than the maximum allowed length (256)."),
        ({"name": "x", "desc": "x" * 4097}, "Path `desc` is longer than the maximum allowed length (4096)."),
    ],
)
def test_a_wrong_workflow_is_refused_with_the_reason(ann: Any, body: dict[str, Any], problem: str) -> None:
    answer = ann.post("/workflows", body)
    assert answer.status_code == 409
    assert answer.get_json()["error"]["errors"] == [{"message": problem}]
    assert ann.get("/workflows").get_json() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("PUT", "/running"),
        ("DELETE", "/running"),
        ("PUT", "/pausing"),
        ("GET", "/worktiesInstances"),
        ("GET", f"/worktiesInstances/{UNKNOWN}"),
        ("PUT", f"/worktiesInstances/{UNKNOWN}"),
        ("DELETE", f"/worktiesInstances/{UNKNOWN}"),
    ],
)
def test_a_foreign_workflow_answers_as_an_unknown_one(world: Any, ann: Any, bob: Any, method: str, path: str) -> None:
    foreign = made(bob)
    answers = [
        ann.send(method, f"/workflows/{id_}{path}", json={"name": "x"}) for id_ in (foreign, UNKNOWN, "malformed")
    ]
    told = [answer.get_json()["error"] | {"inputParameters": None} for answer in answers]
    assert {answer.status_code for answer in answers} == {404}
    assert told[0]["code"] == 2
    assert told[0] == told[1] == told[2]
    assert bob.get(f"/workflows/{foreign}").status_code == 200
    assert world.runs.told == []


def test_name_and_desc_are_changed_and_runs_are_told(world: Any, ann: Any) -> None:
    path = f"/workflows/{made(ann)}"
    before = ann.get(path).get_json()
    for body, expected in (
        ({"name": "daily"}, {"name": "daily"}),
        ({"desc": "d"}, {"name": "daily", "desc": "d"}),
        ({"desc": None}, {"name": "daily", "desc": ""}),
        ({"name": " x ", "desc": "é", "accountId": UNKNOWN, "created": "x"}, {"name": " x ", "desc": "é"}),
    ):
        answer = ann.put(path, body)
        assert (answer.status_code, answer.get_json()) == (200, before | expected)
        assert ann.get(path).get_json() == before | expected
        told = (answer.get_json()["name"], answer.get_json()["desc"])
        assert world.runs.told.pop() == ("renamed", ObjectId(before["_id"]), *told)
    assert world.admin.put(path, {"name": "admin's"}).get_json()["accountId"] == before["accountId"]


@pytest.mark.parametrize("body", [{}, {"other": 1}, {"_id": UNKNOWN, "accountId": UNKNOWN, "created": 1, "runId": 1}])
def test_a_change_of_nothing_is_refused_before_it_is_looked_for(ann: Any, body: dict[str, Any]) -> None:
    for id_ in (made(ann), UNKNOWN, "x"):
        answer = ann.put(f"/workflows/{id_}", body)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"name": ""}, "Path `name` is required."),
        ({"name": None, "desc": "x"}, "Path `name` is required."),
        ({"name": ["x"]}, "Path `name` is not a text."),
        ({"name": "x" * 257}, "Path `name` is longer than the maximum allowed length (256)."),
        ({"name": "good", "desc": 5}, "Path `desc` is not a text."),
        ({"desc": "x" * 4097}, "Path `desc` is longer than the maximum allowed length (4096)."),
        ({"worktiesInstancesIds": "ab"}, "Path `worktiesInstancesIds` is not a list of ids."),
        ({"worktiesInstancesIds": ["x"]}, "Path `worktiesInstancesIds` is not a list of ids."),
        ({"worktiesInstancesIds": [{"_id": UNKNOWN}]}, "Path `worktiesInstancesIds` is not a list of ids."),
        *(
            ({"name": "good", "worktiesInstancesIds": ids}, NO_PERMUTATION)
            for ids in (None, [], ["a"], ["a", "a"], ["a", "b", "b"], ["a", UNKNOWN], ["a", "b", UNKNOWN])
        ),
    ],
)
def test_a_wrong_change_is_refused_and_nothing_is_stored(
    world: Any, ann: Any, body: dict[str, Any], problem: str
) -> None:
    workflow = made(ann)
    ids = {name: added(world, ann, workflow, name) for name in "ab"}
    if isinstance(body.get("worktiesInstancesIds"), list):
        named = [ids.get(id_, id_) if isinstance(id_, str) else id_ for id_ in body["worktiesInstancesIds"]]
        body = body | {"worktiesInstancesIds": named}
    before = ann.get(f"/workflows/{workflow}").get_json()
    answer = ann.put(f"/workflows/{workflow}", body)
    assert answer.status_code == 409
    assert answer.get_json()["error"]["errors"] == [{"message": problem}]
    assert ann.get(f"/workflows/{workflow}").get_json() == before
    assert world.runs.told == []


def test_a_permutation_of_the_instances_reorders_them(world: Any, ann: Any) -> None:
    workflow = made(ann)
    a, b, c = (added(world, ann, workflow, name) for name in "abc")
    for order in ([c, a, b], [b.upper(), a, c], [b, a, c]):
        answer = ann.put(f"/workflows/{workflow}", {"worktiesInstancesIds": order, "name": "sorted"})
        expected = [id_.lower() for id_ in order]
        assert (answer.status_code, answer.get_json()["worktiesInstancesIds"]) == (200, expected)
        assert [i["_id"] for i in ann.get(f"/workflows/{workflow}/worktiesInstances").get_json()] == expected
    empty = made(ann)
    assert ann.put(f"/workflows/{empty}", {"worktiesInstancesIds": []}).status_code == 200


def test_lists_hold_own_workflows_and_for_admins_all(world: Any, ann: Any, bob: Any) -> None:
    own, other = made(ann), made(bob)
    assert [w["_id"] for w in ann.get("/workflows").get_json()] == [own]
    assert ann.get("/workflows", accountId=world.account_id(bob)).get_json() == []
    assert [w["_id"] for w in world.admin.get("/workflows").get_json()] == [own, other]
    assert world.admin.get(f"/workflows/{other}").status_code == 200


def test_everything_can_be_embedded_at_once(world: Any, ann: Any) -> None:
    workflow = made(ann)
    instance = added(world, ann, workflow, "one")
    found = ann.get(f"/workflows/{workflow}", embed=EVERYTHING).get_json()
    assert found["accountId"]["email"] == "ann@mail"
    [inside] = found["worktiesInstancesIds"]
    assert (inside["_id"], inside["name"], inside["stateId"]["name"]) == (instance, "one", "initial")
    assert inside["workflowId"] == workflow
    assert (inside["worktyId"]["name"], inside["worktyId"]["accountId"]) == (
        "with-delay",
        world.account_id(world.admin),
    )
    [delay] = inside["propertiesIds"]
    assert (set(delay), delay["name"]) == ({"_id", "name", "value"}, "delay")


def test_a_key_below_the_instances_embeds_the_instances_too(world: Any, ann: Any) -> None:
    workflow = made(ann)
    added(world, ann, workflow)
    found = ann.get(f"/workflows/{workflow}", embed="worktiesinstances.state").get_json()
    assert found["worktiesInstancesIds"][0]["stateId"]["name"] == "initial"
    assert isinstance(found["worktiesInstancesIds"][0]["worktyId"], str)


def test_an_embedded_account_of_somebody_else_is_only_a_name(world: Any, ann: Any) -> None:
    found = ann.get("/workties", name="with-delay").get_json()[0]
    workflow = made(ann)
    world.db["workflows"].update_one({"_id": ObjectId(workflow)}, {"$set": {"accountId": ObjectId(found["accountId"])}})
    seen = world.admin.get(f"/workflows/{workflow}", embed="account").get_json()["accountId"]
    assert seen["email"] == "supervisor@localhost"
    ann_id = ObjectId(world.account_id(ann))
    strangers = world.services.accounts.strangers(
        world.services.accounts.acting(world.db["accounts"].find_one({"_id": ann_id})), [ObjectId(found["accountId"])]
    )
    assert list(strangers.values()) == [{"_id": ObjectId(found["accountId"]), "name": "supervisor"}]


def test_a_list_costs_one_query_a_collection_however_long_it_is(world: Any, ann: Any) -> None:
    workflows = [made(ann, f"w{n}") for n in range(5)]
    for workflow in workflows:
        for _ in range(3):
            added(world, ann, workflow)
        ann.put(f"/workflows/{workflow}/running")
    world.settle()
    world.operations.clear()
    world.runs.told.clear()
    found = ann.get("/workflows", embed=EVERYTHING).get_json()
    assert [len(workflow["worktiesInstancesIds"]) for workflow in found] == [3] * 5
    collections = [collection for collection, _ in world.operations]
    of_instances = ["workty_properties", "workties", "packages"]
    assert collections == ["login_failures", "accounts", "acl_roles", "workflows", *of_instances, "accounts"]
    assert [name for name, *_ in world.runs.told] == ["states"]


def test_commands_reach_the_run_engine_and_answer_with_the_workflow(world: Any, ann: Any) -> None:
    workflow = made(ann)
    instance = added(world, ann, workflow)
    added(world, ann, workflow)
    for method, path in (("PUT", "running"), ("PUT", "pausing"), ("DELETE", "running")):
        answer = ann.send(method, f"/workflows/{workflow}/{path}")
        assert (answer.status_code, answer.get_json()["_id"]) == (200, workflow)
    assert [name for name, *_ in world.runs.told if name != "states"] == ["start", "pause", "stop"]
    found = ann.get(f"/workflows/{workflow}", embed="worktiesinstances.state").get_json()["worktiesInstancesIds"]
    assert [(i["_id"] == instance, i["stateId"]["name"]) for i in found] == [(True, "waiting"), (False, "initial")]
    assert "runId" not in str(found)


def test_a_command_needs_no_body_and_reads_none(world: Any, ann: Any) -> None:
    workflow = made(ann)
    added(world, ann, workflow)
    assert ann.send("PUT", f"/workflows/{workflow}/running", data=b"{", content_type="text/plain").status_code == 200


def test_an_empty_workflow_does_not_run(ann: Any) -> None:
    answer = ann.put(f"/workflows/{made(ann)}/running")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, 20)
    assert "'nightly'" in answer.get_json()["error"]["message"]


def test_a_stopping_run_refuses_to_run_and_to_pause(world: Any, ann: Any) -> None:
    workflow = made(ann)
    added(world, ann, workflow)
    world.runs.stopping.add(ObjectId(workflow))
    for path in ("running", "pausing"):
        answer = ann.put(f"/workflows/{workflow}/{path}")
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, 8)


def test_a_deleted_workflow_is_stopped_first_and_leaves_nothing(world: Any, ann: Any) -> None:
    kept, workflow = made(ann), made(ann)
    added(world, ann, kept)
    added(world, ann, workflow)
    world.db["ui_settings"].insert_one({"workflowId": ObjectId(workflow)})
    before = world.db["workty_properties"].count_documents({})
    answer = ann.delete(f"/workflows/{workflow}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert world.runs.told[0] == ("stop", ObjectId(workflow))
    assert [w["_id"] for w in ann.get("/workflows").get_json()] == [kept]
    assert world.db["workty_instances"].count_documents({}) == 1
    assert world.db["workty_properties"].count_documents({}) == before - 1
    assert world.db["ui_settings"].count_documents({}) == 0
    assert ann.delete(f"/workflows/{workflow}").status_code == 404
