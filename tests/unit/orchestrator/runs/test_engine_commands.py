"""Pause, resume and stop, at every moment of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bson import ObjectId

from orchestrator.embedded import embedded_database
from orchestrator.errors import StateForbids
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.world import World, finish
from workties import messages as m


def test_a_running_step_pauses_at_its_checkpoint_and_resumes_from_it(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.pause(workflow)
    assert world.run(workflow).state is RunState.PAUSING
    world.obey(board)
    world.deliver_all()
    assert world.run(workflow).state is RunState.PAUSED
    assert world.core.boards.all()[0].leases == ()
    world.core.runs.start(workflow)
    assert board.assignments[0].checkpoint == m.Checkpoint("s", {"n": 1})
    assert board.assignments[0].attempt == 2
    finish(world, board, workflow)
    assert world.run(workflow).state is RunState.COMPLETED


def test_a_pause_that_the_step_outruns_takes_the_next_one(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.pause(workflow)
    world.say(board, world.key(workflow), m.Completed)
    world.deliver_all()
    assert world.run(workflow).state is RunState.PAUSED
    assert world.states(workflow) == ["completed", "paused"]


def test_a_waiting_run_pauses_and_stops_at_once(world: World) -> None:
    paused, stopped = world.workflow(1), world.workflow(1)
    for workflow in (paused, stopped):
        world.core.runs.start(workflow)
    world.core.runs.pause(paused)
    world.core.runs.stop(stopped, "enough")
    assert (world.run(paused).state, world.run(stopped).state) == (RunState.PAUSED, RunState.STOPPED)
    world.board()
    assert world.run(paused).board is None


def test_a_pause_withdrawn_in_time_changes_nothing_else(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.pause(workflow)
    world.core.runs.start(workflow)
    assert world.run(workflow).state is RunState.RUNNING
    world.say(board, world.key(workflow), m.Completed)
    world.deliver_all()
    assert world.run(workflow).state is RunState.COMPLETED


def test_a_pause_withdrawn_too_late_goes_on_from_the_checkpoint_on_the_same_slot(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.pause(workflow)
    world.core.runs.start(workflow)
    world.obey(board)
    world.deliver_all()
    assert world.run(workflow).state is RunState.WAITING
    assert board.assignments[0].checkpoint == m.Checkpoint("s", {"n": 1})
    finish(world, board, workflow)


@pytest.mark.parametrize("withdrawn", [False, True])
def test_an_attempt_after_a_pause_tells_its_own_progress(world: World, withdrawn: bool) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "state", "progress")
    world.core.runs.pause(workflow)
    if withdrawn:
        world.core.runs.start(workflow)
    world.obey(board)
    world.deliver_all()
    assert [change.step["progress"] for change in world.changes if change.step["state"] == "paused"] == [0.5]
    if not withdrawn:
        world.core.runs.start(workflow)
    world.drive(board, "state", "progress", progress={"progress": 0.2})
    assert world.run(workflow).step.progress == 0.2


def test_a_running_step_stops_when_its_board_confirms(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.stop(workflow, "Stopped by its owner")
    assert world.run(workflow).state is RunState.STOPPING
    with pytest.raises(StateForbids):
        world.core.runs.start(workflow)
    with pytest.raises(StateForbids):
        world.core.runs.pause(workflow)
    world.obey(board)
    world.deliver_all()
    assert world.states(workflow) == ["stopped", "initial"]
    assert world.run(workflow).step.reason is not None
    assert world.run(workflow).step.reason.message == "Stopped by its owner"
    assert world.core.boards.all()[0].leases == ()


def test_a_step_that_completes_before_the_stop_reaches_it_stays_completed(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.stop(workflow, "enough")
    world.say(board, world.key(workflow), m.Completed)
    world.deliver_all()
    assert world.run(workflow).state is RunState.STOPPED
    assert world.states(workflow) == ["completed", "initial"]


def test_stopping_or_pausing_what_does_not_run_has_no_effect(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.stop(workflow, "x")
    world.core.runs.pause(workflow)
    world.core.runs.start(workflow)
    finish(world, board, workflow)
    before = world.run(workflow)
    world.core.runs.stop(workflow, "x")
    world.core.runs.pause(workflow)
    assert world.run(workflow) == before


def test_removing_a_workty_stops_the_runs_that_still_need_it_and_no_others(world: World) -> None:
    needing, ended, other = world.workflow(1), world.workflow(1), world.workflow(1)
    for workflow in (needing, ended, other):
        world.core.runs.start(workflow)
    world.core.runs.stop(ended, "enough")
    before = world.run(ended)
    for workflow in (needing, ended):
        world.core.runs.stop_needing(ObjectId(world.run(workflow).step.program.id), "The workty was removed")
    assert world.run(needing).state is RunState.STOPPED
    assert world.run(ended) == before
    assert world.run(other).state is RunState.WAITING


def test_only_what_is_paused_or_pausing_is_resumed(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)

    def refused() -> None:
        with pytest.raises(StateForbids) as error:
            world.core.runs.resume(workflow)
        assert error.value.code == 9

    refused()
    world.core.runs.start(workflow)
    refused()
    world.drive(board, "state")
    refused()
    world.core.runs.pause(workflow)
    world.core.runs.resume(workflow)
    assert world.run(workflow).state is RunState.RUNNING
    world.core.runs.pause(workflow)
    while board.controls:
        world.obey(board)
    world.deliver_all()
    assert world.run(workflow).state is RunState.PAUSED
    world.core.runs.resume(workflow)
    world.drive(board, "state")
    world.core.runs.stop(workflow, "enough")
    refused()
    world.obey(board)
    world.deliver_all()
    refused()
    assert world.run(workflow).number == 1


def test_of_two_that_resume_at_once_one_is_refused() -> None:
    meanwhile: list[Callable[[], None]] = []

    def observed(collection: str, operation: str) -> None:
        if (collection, operation) == ("queue", "find_one") and meanwhile:
            meanwhile.pop()()

    world = World(embedded_database(observe=observed))
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.core.runs.pause(workflow)
    meanwhile.append(lambda: world.core.runs.resume(workflow))
    with pytest.raises(StateForbids) as error:
        world.core.runs.resume(workflow)
    assert (error.value.code, meanwhile) == (9, [])
    assert world.states(workflow) == ["waiting"]
