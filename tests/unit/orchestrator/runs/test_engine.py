"""Runs, from command to final state, through the engine's public doors; boards are played by the tests."""

from __future__ import annotations

import io
import json
import logging

import pytest
from bson import ObjectId

from orchestrator.errors import NotFound, WorkflowEmpty
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.world import World, finish, forged
from workties import messages as m
from workties.process_log import writer


def test_a_run_completes_step_by_step_and_gives_its_slot_back(world: World) -> None:
    board = world.board()
    workflow = world.workflow(steps=3)
    world.core.runs.start(workflow)
    finish(world, board, workflow)
    assert world.run(workflow).state is RunState.COMPLETED
    assert world.states(workflow) == ["completed"] * 3
    assert world.core.boards.all()[0].leases == ()
    assert world.run(workflow).steps[0].output == {"answer": 42}


def test_every_change_is_announced_once_and_in_order(world: World) -> None:
    board = world.board()
    workflow = world.workflow(steps=2)
    world.core.runs.start(workflow)
    finish(world, board, workflow)
    assert [change.seq for change in world.changes] == [1, 2, 3, 4, 5, 6]
    assert [change.step["state"] for change in world.changes] == ["waiting", "running", "completed"] * 2
    assert [change.completed for change in world.changes] == [False] * 5 + [True]
    assert [change.run_state for change in world.changes] == [
        "waiting", "running", "waiting", "waiting", "running", "completed",
    ]  # fmt: skip


def test_the_log_tells_the_story_of_a_run_under_its_id(world: World) -> None:
    log, stream = logging.getLogger("orchestrator.runs.engine"), io.StringIO()
    handler, level = writer(stream, "json"), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        board, workflow = world.board(), world.workflow(steps=2)
        world.core.runs.start(workflow)
        world.drive(board, "state", "completed")
        world.drive(board, "state", "failed")
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    told, run = [json.loads(line) for line in stream.getvalue().splitlines()], world.run(workflow)
    assert {line["run"] for line in told} == {run.id}
    assert [line["message"] for line in told] == [
        f"Was asked for: run 1 of workflow {workflow} (steps: 2)",
        "Went from waiting to running",
        "Went from waiting to running",
        "Went from running to failed (exit)",
    ]
    assert [(line.get("step"), line.get("attempt"), line.get("board")) for line in told] == [
        (None, None, None),
        (run.steps[0].instance, 1, board.id),
        (run.steps[1].instance, 1, board.id),
        (run.steps[1].instance, 1, None),
    ]


def test_a_run_waits_for_a_slot_and_a_freed_slot_wakes_it_at_once(world: World) -> None:
    board = world.board(slots=1)
    first, second = world.workflow(1), world.workflow(1)
    world.core.runs.start(first)
    world.core.runs.start(second)
    assert world.run(second).state is RunState.WAITING
    assert world.run(second).step.reason is not None
    assert world.run(second).step.reason.code == "no-slot"
    world.drive(board, "state", "completed")
    assert world.run(second).board is not None


def test_a_run_that_no_board_fits_says_what_it_waits_for(world: World) -> None:
    world.board()
    workflow = world.workflow(1, language="java")
    world.core.runs.start(workflow)
    reason = world.run(workflow).step.reason
    assert reason is not None
    assert (reason.code, reason.message) == ("no-board", "No board has runtime 'java'; 1 board is connected (board-0)")


def test_a_board_that_fits_serves_those_behind_a_run_that_it_does_not_fit(world: World) -> None:
    world.board(slots=1)
    stuck, fits = world.workflow(1, language="java"), world.workflow(1)
    world.core.runs.start(stuck)
    world.core.runs.start(fits)
    assert world.run(fits).board is not None
    assert world.run(stuck).board is None


def test_accounts_take_turns(world: World) -> None:
    board = world.board(slots=1)
    busy, other = "0" * 23 + "2", "0" * 23 + "3"
    running = world.workflow(1, account=busy)
    world.core.runs.start(running)
    many = [world.workflow(1, account=busy) for _ in range(3)]
    for workflow in many:
        world.core.runs.start(workflow)
    late = world.workflow(1, account=other)
    world.core.runs.start(late)
    world.drive(board, "state", "completed")
    world.drive(board, "state", "completed")
    assert world.run(late).board is not None or world.run(late).state is RunState.COMPLETED
    assert [world.run(workflow).state for workflow in many[1:]] == [RunState.WAITING] * 2


def test_starting_what_already_runs_starts_no_second_run(world: World) -> None:
    world.board()
    workflow = world.workflow()
    world.core.runs.start(workflow)
    before = world.run(workflow)
    world.core.runs.start(workflow)
    assert world.run(workflow) == before
    assert world.database["runs"].count_documents({}) == 1


def test_a_workflow_without_instances_cannot_run_and_the_error_says_how_to_add_one(world: World) -> None:
    workflow = world.workflow(steps=0)
    with pytest.raises(WorkflowEmpty, match=f"POST /api/v1/workflows/{workflow}/worktiesInstances"):
        world.core.runs.start(workflow)
    assert world.database["runs"].count_documents({}) == 0


def test_an_unknown_workflow_cannot_run(world: World) -> None:
    with pytest.raises(NotFound):
        world.core.runs.start(ObjectId())


def test_a_failed_step_fails_the_run_with_the_reason_and_the_last_output(world: World) -> None:
    board = world.board()
    workflow = world.workflow(steps=2)
    world.core.runs.start(workflow)
    world.drive(board, "state", "failed")
    run = world.run(workflow)
    assert run.state is RunState.FAILED
    assert world.states(workflow) == ["failed", "initial"]
    assert run.step.reason is not None
    assert (run.step.reason.code, run.step.reason.return_code) == ("exit", 3)
    assert run.step.reason.last_output == ("boom",)
    assert world.core.boards.all()[0].leases == ()


def test_a_new_run_begins_with_every_instance_initial_and_says_so(world: World) -> None:
    board = world.board()
    workflow = world.workflow(steps=2)
    world.core.runs.start(workflow)
    world.drive(board, "state", "failed")
    world.changes.clear()
    world.core.runs.start(workflow)
    assert [change.step["state"] for change in world.changes] == ["initial", "waiting"]
    assert world.run(workflow).number == 2
    finish(world, board, workflow)
    assert world.states(workflow) == ["completed", "completed"]


# --- fencing


def test_a_completed_event_that_comes_first_makes_the_step_running_and_then_completed(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "completed")
    assert [change.step["state"] for change in world.changes] == ["waiting", "running", "completed"]


def test_an_event_delivered_twice_changes_nothing_the_second_time(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2)
    world.core.runs.start(workflow)
    world.take(board)
    world.say(board, world.key(workflow), m.Completed)
    accepted, completed = world.events
    world.deliver_all()
    before = world.run(workflow)
    world.events = [accepted, completed]
    world.deliver_all()
    assert world.run(workflow) == before


def test_an_event_of_an_old_attempt_changes_nothing_and_is_answered_with_forget(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    key = world.key(workflow)
    world.drive(board, "state")
    world.say(board, key, m.StateReported, state="late")
    late = world.events.pop()
    world.reboot(board)
    world.deliver_all()
    assert world.key(workflow)[2] == 2
    before = world.run(workflow)
    world.events = [late]
    world.deliver_all()
    assert world.run(workflow) == before
    assert [(c.command, c.attempt) for c in board.controls] == [("forget", 1)]


def test_a_checkpoint_never_goes_back(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.take(board)
    for state in ("first", "second"):
        world.say(board, world.key(workflow), m.StateReported, state=state, checkpoint=m.Checkpoint(state, {}))
    first = world.events[1]
    world.deliver_all()
    world.events = [first]
    world.deliver_all()
    assert world.run(workflow).step.checkpoint == m.Checkpoint("second", {})


def test_a_board_cannot_speak_about_an_attempt_of_another_board(world: World) -> None:
    board = world.board(slots=1)
    thief = world.board(slots=1)
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    owner = board if board.assignments else thief
    other = thief if owner is board else board
    world.take(owner)
    world.say(owner, world.key(workflow), m.Completed)
    world.events = [forged(event, board=other.id) for event in world.events]  # type: ignore[arg-type]
    world.deliver_all()
    assert world.states(workflow) == ["waiting"]


def test_an_event_of_an_unknown_run_is_answered_with_forget(world: World) -> None:
    board = world.board()
    key = (str(ObjectId()), str(ObjectId()), 1)
    board.journal[key] = 0
    world.say(board, key, m.StateReported, state="running")
    world.deliver_all()
    assert [control.command for control in board.controls] == ["forget"]
