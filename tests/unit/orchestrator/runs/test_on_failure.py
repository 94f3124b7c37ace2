"""What becomes of a run whose step has failed for good: it fails, goes on without the step, or cleans up."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.errors import WorkflowEmpty
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.test_recovery import reason
from tests.unit.orchestrator.runs.world import BoardModel, World, finish

SKIP, TIDY, CLEANUP = {"on_failure": "skip"}, {"on_failure": "cleanup"}, {"cleanup": True}
PLAIN: dict[str, Any] = {}


def started(world: World, *policies: dict[str, Any]) -> ObjectId:
    """A run of a workflow with a step for each policy."""
    workflow = world.workflow(len(policies), policies=policies)
    world.core.runs.start(workflow)
    return workflow


def sent(world: World, workflow: ObjectId, board: BoardModel) -> list[int]:
    """Places of the steps that the board has been sent and has not taken yet."""
    places = {step.instance: place for place, step in enumerate(world.run(workflow).steps)}
    return [places[assignment.instance] for assignment in board.assignments]


# --- skip


def test_a_run_goes_on_without_a_step_that_may_be_skipped_and_completes(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, SKIP, PLAIN)
    world.core.runs.start(world.workflow(1))
    world.drive(board, "failed")
    assert sent(world, workflow, board) == [1], "on the same slot, although another run waits for one"
    world.drive(board, "completed")
    assert (world.states(workflow), world.run(workflow).state) == (["failed", "completed"], RunState.COMPLETED)
    assert world.run(workflow).steps[0].reason is not None
    told = [(c.step["state"], c.run_state, c.completed) for c in world.changes if c.run == world.run(workflow).id]
    assert told[2:] == [
        ("failed", "waiting", False),
        ("waiting", "waiting", False),
        ("running", "running", False),
        ("completed", "completed", True),
    ]


def test_a_run_whose_last_step_is_skipped_is_completed(world: World) -> None:
    board = world.board()
    workflow = started(world, PLAIN, {**SKIP, "retries": 1, "backoff": 0})
    world.drive(board, "completed")
    world.drive(board, "failed")
    assert sent(world, workflow, board) == [1], "first it is tried again"
    world.drive(board, "failed")
    assert (world.states(workflow), world.run(workflow).state) == (["completed", "failed"], RunState.COMPLETED)
    assert [change.completed for change in world.changes].count(True) == 1
    assert world.changes[-1].completed
    assert world.core.boards.all()[0].leases == ()


def test_the_step_after_a_skipped_one_waits_for_the_pause_that_was_asked_for(world: World) -> None:
    board = world.board()
    workflow = started(world, SKIP, PLAIN)
    world.core.runs.pause(workflow)
    world.drive(board, "failed")
    assert world.states(workflow) == ["failed", "paused"]
    world.core.runs.start(workflow)
    finish(world, board, workflow)
    assert world.states(workflow) == ["failed", "completed"]


def test_the_step_after_one_that_was_skipped_during_a_stop_does_not_begin(world: World) -> None:
    board = world.board()
    workflow = started(world, SKIP, PLAIN)
    world.core.runs.stop(workflow, "enough")
    world.drive(board, "failed")
    assert (world.states(workflow), world.run(workflow).state) == (["failed", "initial"], RunState.STOPPED)


def test_the_step_after_one_that_was_skipped_with_its_lost_board_goes_to_another_one(world: World) -> None:
    first = world.board(slots=1)
    workflow = world.workflow(2, recovery={"on_interrupt": "fail"}, policies=[SKIP])
    world.core.runs.start(workflow)
    world.drive(first, "state")
    world.sweep(11)
    second = world.board(slots=1)
    world.sweep(5)
    assert (sent(world, workflow, first), sent(world, workflow, second)) == ([], [1])
    assert world.core.boards.all()[0].leases == ()


def test_a_skipped_step_has_ended_and_is_awaited_no_more(world: World) -> None:
    board = world.board()
    workflow = started(world, SKIP, PLAIN)
    world.drive(board, "failed")
    awaited = [world.core.runs.awaits(workflow, ObjectId(step.instance)) for step in world.run(workflow).steps]
    assert awaited == [False, True]


def test_a_reference_to_the_output_of_a_skipped_step_fails_and_says_why(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2, policies=[SKIP])
    value = {"name": "from", "value": "${{ steps.w.output.path }}"}
    key = world.database["workty_properties"].insert_one(value).inserted_id
    last = world.database["workflows"].find_one({"_id": workflow})["worktiesInstancesIds"][1]  # type: ignore[index]
    world.database["workty_instances"].update_one({"_id": last}, {"$set": {"propertiesIds": [key]}})
    world.core.runs.start(workflow)
    world.drive(board, "failed")
    assert (world.states(workflow), reason(world, workflow).code) == (["failed", "failed"], "property")
    assert "step 'w' has no output: it is failed" in reason(world, workflow).message


def test_any_number_of_steps_that_cannot_be_sent_is_skipped_in_one_go(world: World) -> None:
    world.board()
    workflow = world.workflow(200, policies=[SKIP] * 200)
    key = world.database["workty_properties"].insert_one({"name": "p", "value": "${{ nonsense }}"}).inserted_id
    world.database["workty_instances"].update_many({}, {"$set": {"propertiesIds": [key]}})
    world.core.runs.start(workflow)
    assert (world.run(workflow).state, set(world.states(workflow))) == (RunState.COMPLETED, {"failed"})


# --- clean up


def test_a_run_without_a_failure_passes_over_the_steps_that_clean_up(world: World) -> None:
    board = world.board()
    workflow = started(world, CLEANUP, TIDY, CLEANUP, SKIP, CLEANUP)
    world.drive(board, "completed")
    world.drive(board, "failed")
    assert world.states(workflow) == ["initial", "completed", "initial", "failed", "initial"]
    assert world.run(workflow).state is RunState.COMPLETED
    assert (world.changes[-1].completed, world.changes[-1].step["state"]) == (True, "failed")


def test_a_failure_has_the_steps_run_that_clean_up_and_then_fails_the_run(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, CLEANUP, TIDY, PLAIN, {**CLEANUP, "retries": 1, "backoff": 0}, {**CLEANUP, **SKIP})
    assert sent(world, workflow, board) == [1]
    world.drive(board, "failed")
    assert (sent(world, workflow, board), world.run(workflow).state) == ([0], RunState.WAITING)
    world.drive(board, "completed")
    for ends in ("failed", "failed"):
        assert sent(world, workflow, board) == [3]
        world.drive(board, ends)
    assert sent(world, workflow, board) == [4]
    world.drive(board, "completed")
    run = world.run(workflow)
    assert (run.state, world.states(workflow)) == (
        RunState.FAILED,
        ["completed", "failed", "initial", "failed", "completed"],
    )
    assert run.failed is not None
    assert (run.failed, run.steps[run.failed].reason) == (1, run.steps[1].reason)
    assert not any(change.completed for change in world.changes)
    assert world.core.boards.all()[0].leases == ()


@pytest.mark.parametrize("policy", [PLAIN, {"on_failure": "fail"}])
def test_a_step_that_does_not_ask_for_it_fails_the_run_without_cleaning_up(
    world: World, policy: dict[str, Any]
) -> None:
    board = world.board()
    workflow = started(world, policy, CLEANUP)
    world.drive(board, "failed")
    assert (world.states(workflow), world.run(workflow).state) == (["failed", "initial"], RunState.FAILED)
    assert world.run(workflow).failed == 0


def test_a_run_may_ask_for_cleaning_up_where_nothing_cleans_up(world: World) -> None:
    board = world.board()
    workflow = started(world, TIDY, PLAIN)
    world.drive(board, "failed")
    assert (world.states(workflow), world.run(workflow).state) == (["failed", "initial"], RunState.FAILED)


def test_a_stop_ends_the_cleaning_up(world: World) -> None:
    board = world.board()
    workflow = started(world, TIDY, CLEANUP, CLEANUP)
    world.drive(board, "failed")
    world.core.runs.stop(workflow, "enough")
    world.drive(board, "completed")
    assert world.run(workflow).state is RunState.STOPPED
    assert world.states(workflow) == ["failed", "completed", "initial"]


def test_a_step_that_fails_during_a_stop_has_nothing_cleaned_up(world: World) -> None:
    board = world.board()
    workflow = started(world, TIDY, CLEANUP)
    world.core.runs.stop(workflow, "enough")
    world.drive(board, "failed")
    assert (world.states(workflow), world.run(workflow).state) == (["failed", "initial"], RunState.FAILED)


def test_cleaning_up_can_be_paused_and_goes_on(world: World) -> None:
    board = world.board()
    workflow = started(world, TIDY, CLEANUP)
    world.core.runs.pause(workflow)
    world.drive(board, "failed")
    assert (world.states(workflow), world.run(workflow).state) == (["failed", "paused"], RunState.PAUSED)
    world.core.runs.start(workflow)
    world.drive(board, "completed")
    assert (world.states(workflow), world.run(workflow).state) == (["failed", "completed"], RunState.FAILED)


def test_a_workflow_of_nothing_but_cleaning_up_cannot_run(world: World) -> None:
    with pytest.raises(WorkflowEmpty, match=r"set policy\.cleanup of one to false"):
        started(world, CLEANUP, CLEANUP)
