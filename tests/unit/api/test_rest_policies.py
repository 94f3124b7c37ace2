"""Policies of instances and deadlines of workflows over REST."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.runs.snapshot import Snapshots

POLICY = {"retries": 3, "retryOn": ["exit", "board-lost"], "exitCodes": [75], "backoff": 10, "onFailure": "skip"}


@pytest.fixture
def workflow(ann: Any) -> str:
    return f"/workflows/{ann.post('/workflows', {'name': 'nightly'}).get_json()['_id']}"


@pytest.fixture
def path(workflow: str) -> str:
    return f"{workflow}/worktiesInstances"


def add(world: Any, client: Any, path: str, **body: Any) -> Any:
    return client.post(path, {"worktyId": world.template("with-delay"), **body})


def test_an_instance_has_the_policy_that_it_is_made_with_or_none(world: Any, ann: Any, path: str) -> None:
    made = add(world, ann, path, policy=POLICY)
    assert (made.status_code, made.get_json()["policy"]) == (201, POLICY)
    assert add(world, ann, path).get_json()["policy"] == {}
    # As those are that were made before there were policies.
    world.db["workty_instances"].update_many({"policy": {}}, {"$unset": {"policy": True}})
    assert [found["policy"] for found in ann.get(path).get_json()] == [POLICY, {}]


@pytest.mark.parametrize(("sent", "shown"), [({"retries": 1}, {"retries": 1}), ({}, {}), (None, {})])
def test_a_policy_is_replaced_as_a_whole(world: Any, ann: Any, path: str, sent: Any, shown: dict[str, Any]) -> None:
    made = add(world, ann, path, policy=POLICY).get_json()
    url = f"{path}/{made['_id']}"
    assert ann.put(url, {"name": "other"}).get_json() == made | {"name": "other"}
    assert ann.put(url, {"policy": sent}).get_json() == made | {"name": "other", "policy": shown}
    assert ann.get(url).get_json()["policy"] == shown


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ([], "Path `policy` is not an object."),
        ({"retries": -1}, "Path `policy.retries` is not usable: expected a whole number from 0 to 100, got -1."),
        ({"retryOn": "exit"}, "Path `policy.retryOn` is not usable: expected a list of up to 9 texts, got 'exit'."),
        ({"timeout": 10**400}, "Path `policy.timeout` is not usable: expected a number from 0.001 to 2592000, got 1"),
        ({"retry_on": ["exit"]}, "Path `policy.retry_on` is not usable: unknown key; known are backoff, "),
        ({"$set": 1}, "Path `policy.$set` is not usable: unknown key; known are backoff, "),
    ],
)
def test_a_policy_that_cannot_be_is_refused_and_changes_nothing(
    world: Any, ann: Any, path: str, policy: Any, problem: str
) -> None:
    add(world, ann, path, name="a", policy=POLICY)
    before = ann.get(path).get_json()
    for answer in (
        add(world, ann, path, policy=policy),
        ann.put(f"{path}/{before[0]['_id']}", {"name": "b", "version": "none", "policy": policy}),
    ):
        assert answer.status_code == 409
        assert [found["message"][: len(problem)] for found in answer.get_json()["error"]["errors"]] == [problem]
    assert ann.get(path).get_json() == before


def test_a_workflow_has_a_deadline_until_it_is_taken_away(world: Any, ann: Any, workflow: str) -> None:
    before = ann.get(workflow).get_json()
    assert "deadline" not in before
    assert ann.post("/workflows", {"name": "daily", "deadline": 1.5}).get_json()["deadline"] == 1.5
    assert ann.put(workflow, {"deadline": 3600, "desc": "d"}).get_json() == before | {"deadline": 3600, "desc": "d"}
    assert ann.put(workflow, {"name": "other"}).get_json()["deadline"] == 3600
    assert [found["name"] for found in ann.get("/workflows", deadline="3600").get_json()] == ["other"]
    assert ann.put(workflow, {"deadline": None, "worktiesInstancesIds": []}).get_json() == before | {
        "name": "other",
        "desc": "d",
    }
    assert ann.put(workflow, {"deadline": None}).status_code == 200


@pytest.mark.parametrize("deadline", [0, -1, 30 * 86400 + 1, "60", True, [], {"$gt": 0}])
def test_a_deadline_that_cannot_be_is_refused_and_changes_nothing(ann: Any, workflow: str, deadline: Any) -> None:
    before = ann.get("/workflows").get_json()
    for answer in (
        ann.post("/workflows", {"name": "n", "deadline": deadline}),
        ann.put(workflow, {"name": "other", "deadline": deadline}),
    ):
        [problem] = answer.get_json()["error"]["errors"]
        assert problem["message"].startswith("Path `deadline` is not usable: expected a number")
    assert ann.get("/workflows").get_json() == before


def test_a_run_begins_with_the_policies_of_its_instances(world: Any, ann: Any, workflow: str, path: str) -> None:
    add(world, ann, path, policy=POLICY | {"timeout": 7})
    [step] = Snapshots(world.db).steps([ObjectId(id_) for id_ in ann.get(workflow).get_json()["worktiesInstancesIds"]])
    assert (step.policy.retries, step.policy.exit_codes, step.policy.on_failure) == (3, (75,), "skip")
    assert step.limits.wall == 7.0
