"""A run that has not ended by its deadline fails, whatever it waits for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.runs.vocabulary import RunState, TimerDue
from tests.unit.orchestrator.runs.test_recovery import lose, reason
from tests.unit.orchestrator.runs.world import BoardModel, World
from workties import messages as m


def queued(_world: World, _workflow: ObjectId) -> None:
    pass


def failed_once(world: World, workflow: ObjectId) -> None:
    board = world.board(slots=1)
    world.drive(board, "failed")
    assert world.run(workflow).step.retry_at is not None


def paused(world: World, workflow: ObjectId) -> None:
    world.core.runs.pause(workflow)


def board_away(world: World, workflow: ObjectId) -> None:
    board = world.board(slots=1)
    world.drive(board, "state", "interrupted", interrupted={"reason": m.Reason("agent-stop", "")})
    assert world.run(workflow).awaits_board


@pytest.mark.parametrize(
    ("waits_for", "last"),
    [
        (queued, "There is no board at all"),
        (failed_once, "Exit code 3. Retry 1 of 1"),
        (paused, ""),
        (board_away, "when the board is back"),
    ],
)
def test_a_run_fails_at_its_deadline_whatever_it_waits_for(
    world: World, waits_for: Callable[[World, ObjectId], None], last: str
) -> None:
    policies = [{"retries": 1, "backoff": 3600, "on_failure": "skip"}]
    workflow = world.workflow(2, deadline=60, policies=policies, recovery={"offline_grace": 3600})
    world.core.runs.start(workflow)
    waits_for(world, workflow)
    world.sweep(59)
    assert not world.run(workflow).state.final
    world.sweep(1)
    assert (world.run(workflow).state, world.states(workflow)) == (RunState.FAILED, ["failed", "initial"])
    assert reason(world, workflow).code == "deadline"
    assert "by its deadline, 2026-01-01 00:01:00 UTC" in reason(world, workflow).message
    assert last in reason(world, workflow).message
    assert [board.leases for board in world.core.boards.all() if board.leases] == []
    assert world.store.due(world.now) == []


def overran(
    world: World, *policies: dict[str, Any], kinds: tuple[str, ...] = ("state",)
) -> tuple[BoardModel, ObjectId]:
    """A run of steps with these policies, whose deadline passes while the first is with the board."""
    board = world.board(slots=1)
    workflow = world.workflow(len(policies), deadline=60, policies=policies, recovery={"on_interrupt": "fail"})
    world.core.runs.start(workflow)
    world.drive(board, *kinds)
    world.beat(60)
    assert world.run(workflow).state is RunState.STOPPING
    assert [control.command for control in board.controls] == ["stop"]
    return board, workflow


def confirm(world: World, board: BoardModel) -> None:
    world.obey(board)
    world.deliver_all()


@pytest.mark.parametrize("kinds", [(), ("state",)], ids=["sent", "running"])
@pytest.mark.parametrize("ends", [confirm, lose])
def test_an_attempt_that_is_with_a_board_is_stopped_before_the_run_fails(
    world: World, kinds: tuple[str, ...], ends: Callable[[World, BoardModel], None]
) -> None:
    board, workflow = overran(world, {"retries": 3, "retry_on": ["board-lost", "interrupted"]}, {}, kinds=kinds)
    ends(world, board)
    assert (world.run(workflow).state, world.states(workflow)) == (RunState.FAILED, ["failed", "initial"])
    assert (reason(world, workflow).code, board.assignments) == ("deadline", [])
    assert world.core.boards.all()[0].leases == ()


def test_a_board_that_does_not_confirm_is_asked_again(world: World) -> None:
    board, _ = overran(world, {})
    world.beat(11)
    assert [control.command for control in board.controls] == ["stop", "stop"]


def test_a_run_whose_last_step_completes_meanwhile_is_completed(world: World) -> None:
    board, workflow = overran(world, {}, kinds=())
    world.say(board, world.key(workflow), m.StateReported, state="running")
    world.deliver_all()
    assert (world.run(workflow).state, reason(world, workflow).code) == (RunState.STOPPING, "deadline")
    world.say(board, world.key(workflow), m.Completed)
    world.deliver_all()
    assert world.run(workflow).state is RunState.COMPLETED


def test_the_next_step_does_not_begin_after_the_deadline(world: World) -> None:
    board, workflow = overran(world, {}, {})
    world.say(board, world.key(workflow), m.Completed)
    world.deliver_all()
    assert (world.run(workflow).state, world.states(workflow)) == (RunState.FAILED, ["completed", "failed"])
    assert (reason(world, workflow).code, world.run(workflow).step.attempt, board.assignments) == ("deadline", 0, [])


@pytest.mark.parametrize("on_failure", ["fail", "skip", "cleanup"])
def test_a_step_that_fails_meanwhile_is_not_tried_again_and_nothing_is_cleaned_up(
    world: World, on_failure: str
) -> None:
    board, workflow = overran(world, {"retries": 3, "on_failure": on_failure}, {}, {"cleanup": True})
    world.say(board, world.key(workflow), m.Failed, reason=m.Reason("exit", "Exit code 1"), return_code=1)
    world.deliver_all()
    assert (world.run(workflow).state, board.assignments) == (RunState.FAILED, [])


def test_a_run_that_is_being_stopped_is_stopped_though_its_deadline_passes(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1, deadline=60)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.stop(workflow, "enough")
    world.beat(61)
    confirm(world, board)
    assert world.run(workflow).state is RunState.STOPPED


def test_cleaning_up_ends_at_the_deadline_and_the_run_still_fails_for_what_failed_first(world: World) -> None:
    board = world.board()
    workflow = world.workflow(
        3, deadline=60, policies=[{"on_failure": "cleanup"}, {"cleanup": True}, {"cleanup": True}]
    )
    world.core.runs.start(workflow)
    world.drive(board, "failed")
    world.drive(board, "state")
    world.beat(60)
    confirm(world, board)
    run = world.run(workflow)
    assert (run.state, run.failed, world.states(workflow)) == (RunState.FAILED, 0, ["failed", "failed", "initial"])


def test_a_timer_changes_nothing_before_the_deadline_and_after_the_end(world: World) -> None:
    workflow = world.workflow(1, deadline=60)
    world.core.runs.start(workflow)

    def after_timer(seconds: float) -> RunState:
        world.now += timedelta(seconds=seconds)
        ended = world.core.engine.handle(world.run(workflow).id, [TimerDue()])
        assert ended is not None
        return ended.state

    assert (after_timer(59), len(world.changes)) == (RunState.WAITING, 1)
    assert (after_timer(1), len(world.changes)) == (RunState.FAILED, 3)
    assert (after_timer(60), len(world.changes)) == (RunState.FAILED, 3)
