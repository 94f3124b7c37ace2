"""What a user does, on the embedded stack and on the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.catalogue import ECHO, WRITER, upload_workty
from tests.acceptance.user import User, assert_legal
from tests.servers import waiting
from tests.servers.stack import ADMIN

pytestmark = [pytest.mark.real, pytest.mark.slow]

NewUser = Callable[[str], User]


def test_a_workflow_of_ten_instances_completes_and_its_owner_hears_every_change_in_order(
    server_url: str, new_user: NewUser
) -> None:
    user, stranger = new_user(server_url), new_user(server_url)
    kinds = ["without-delay", ("with-delay", {"delay": 0.3}), "without-delay", ("with-delay-node", {"delay": 0.2})]
    workflow = user.workflow(*(kinds[number % len(kinds)] for number in range(10)))
    assert user.states(workflow) == ["initial"] * 10
    user.run(workflow)
    last = user.until_run(workflow, "completed", "failed")
    assert user.states(workflow) == ["completed"] * 10
    changes = user.changes(workflow)
    assert_legal(changes)
    assert [change["worktyInstance"]["state"] for change in changes] == ["waiting", "running", "completed"] * 10
    assert [change.get("workflowCompleted") for change in changes] == [None] * 29 + [True]
    assert last["run"]["finished"] is not None
    progress = [message["worktyInstance"]["progress"] for message in user.progress(workflow)]
    assert progress
    assert all(0 <= fraction <= 1 for fraction in progress)
    assert stranger.messages == []


def test_a_workflow_pauses_resumes_and_stops_as_it_is_told(server_url: str, new_user: NewUser) -> None:
    user = new_user(server_url)
    workflow = user.workflow("without-delay", ("with-delay", {"delay": 60}), "without-delay")
    user.run(workflow)
    user.until_step(workflow, 1, "running")
    user.run(workflow)
    user.pause(workflow)
    user.until_run(workflow, "paused")
    assert user.states(workflow) == ["completed", "paused", "initial"]
    user.run(workflow)
    user.hears(workflow, lambda change: change["worktyInstance"]["attempt"] == 2, "a second attempt")
    user.stop(workflow)
    user.until_run(workflow, "stopped")
    assert user.states(workflow) == ["completed", "stopped", "initial"]
    assert_legal(user.changes(workflow))


def test_what_cannot_run_is_refused_with_a_reason(server_url: str, new_user: NewUser) -> None:
    user = new_user(server_url)
    empty = user.workflow()
    refused = user.answer("PUT", f"/workflows/{empty}/running")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == 20
    assert "no workty instances" in refused.json()["error"]["message"]
    unknown = user.answer("POST", f"/workflows/{empty}/worktiesInstances", {"worktyId": "0" * 24})
    assert unknown.status_code == 404
    assert user.answer("PUT", f"/workflows/{'0' * 24}/running").status_code == 404


def test_many_workflows_of_many_accounts_share_four_slots(server_url: str, new_user: NewUser) -> None:
    users = [new_user(server_url) for _ in range(3)]
    workflows = [(user, user.workflow("without-delay", "without-delay")) for user in users for _ in range(3)]
    for user, workflow in workflows:
        user.run(workflow)
    for user, workflow in workflows:
        ended = user.until_run(workflow, "completed", "failed")
        assert ended["run"]["reason"] is None
        assert user.states(workflow) == ["completed", "completed"]
        assert_legal(user.changes(workflow))


def test_all_lines_that_steps_write_are_read_in_their_order_and_none_twice(
    server_url: str, new_user: NewUser, tmp_path: Path
) -> None:
    user, stranger = new_user(server_url), new_user(server_url)
    upload_workty(user, tmp_path, "writer", WRITER)
    workflow = user.workflow("writer", "writer")
    user.run(workflow)
    last = user.until_run(workflow, "completed", "failed")
    assert user.states(workflow) == ["completed"] * 2
    path = f"/runs/{last['run']['id']}"

    def lines() -> list[tuple[str, str]]:
        messages = user.ask("GET", f"{path}/log")
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        return [(message["instance"], line["text"]) for message in messages for line in message["lines"]]

    waiting.until(lambda: len(lines()) >= 600, seconds=60, what="all lines to be kept")
    instances = user.ask("GET", f"/workflows/{workflow}")["worktiesInstancesIds"]
    expected = [(instance, f"line {number} " + "x" * 500) for instance in instances for number in range(300)]
    assert lines() == expected
    tail = user.ask("GET", path)["logTail"]
    assert [(line["instance"], line["text"]) for line in tail] == expected[-20:]
    assert stranger.answer("GET", f"{path}/log").status_code == 404


def test_what_a_step_puts_out_arrives_in_a_later_one_and_what_means_nothing_fails_before_it_is_sent(
    server_url: str, new_user: NewUser, tmp_path: Path
) -> None:
    user = new_user(server_url)
    upload_workty(user, tmp_path, "echo", ECHO)
    workty = user.workty("echo")
    user.ask("POST", f"/workties/{workty}/properties", {"property": {"name": "say"}}, login=ADMIN)
    workflow = user.workflow()
    user.add_step(workflow, workty, {"say": {"paths": ["/a", "/b"]}}, name="first")
    user.add_step(workflow, workty, {"say": "${{ steps.first.output.said.paths }}"})
    user.add_step(workflow, workty, {"say": "${{ steps.first.output.sad }}"})
    user.run(workflow)
    last = user.until_run(workflow, "completed", "failed")
    assert user.states(workflow) == ["completed", "completed", "failed"]
    steps = user.ask("GET", f"/runs/{last['run']['id']}")["steps"]
    assert steps[1]["output"] == {"said": ["/a", "/b"], "kind": "list"}
    assert steps[1]["worktyState"] == "speaking"
    assert last["run"]["reason"]["code"] == "property"
    assert "the output of step 'first' has no 'sad'; it has 'said', 'kind'" in last["run"]["reason"]["message"]
    assert "board" not in steps[2]
    assert_legal(user.changes(workflow))
    told = [message["worktyInstance"] for message in user.progress(workflow)]
    own = [(entry["id"], entry["worktyState"]) for entry in told if "worktyState" in entry]
    assert own == [(step["_id"], state) for step in steps[:2] for state in ("listening", "speaking")]
