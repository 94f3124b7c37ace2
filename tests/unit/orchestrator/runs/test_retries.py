"""Which failures are tried again, when, where, and from where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.errors import StateForbids
from orchestrator.runs.vocabulary import RunState, StepReason, TimerDue
from tests.unit.orchestrator.runs.test_recovery import CUTS, POINT, reason
from tests.unit.orchestrator.runs.world import BoardModel, World, finish
from workties import messages as m


def begun(world: World, board: BoardModel, steps: int = 1, **policy: Any) -> ObjectId:
    """A workflow whose first step has this policy, and runs on the board."""
    workflow = world.workflow(steps, policies=[{"jitter": 0, **policy}])
    world.core.runs.start(workflow)
    world.drive(board, "state")
    return workflow


def fail(world: World, board: BoardModel, workflow: ObjectId, code: str = "exit", return_code: int = 3) -> None:
    told = m.Reason(code, f"Exit code {return_code}")
    world.say(board, world.key(workflow), m.Failed, reason=told, return_code=return_code, last_output=("boom",))
    world.deliver_all()


@pytest.mark.parametrize(
    ("policy", "code", "counts"),
    [
        ({"retries": 1}, "exit", True),
        ({"retries": 1, "exit_codes": [3, 75]}, "exit", True),
        ({"retries": 1, "exit_codes": [75]}, "exit", False),
        ({"retries": 1, "exit_codes": [75]}, "timeout", True),
        ({"retries": 1, "retry_on": ["timeout"]}, "timeout", True),
        ({"retries": 1, "retry_on": ["timeout"]}, "exit", False),
        ({"retry_on": ["exit"]}, "exit", False),
    ],
)
def test_only_the_failures_that_count_are_tried_again(
    world: World, policy: dict[str, Any], code: str, counts: bool
) -> None:
    board = world.board()
    workflow = begun(world, board, **policy)
    fail(world, board, workflow, code)
    assert world.states(workflow) == ["waiting" if counts else "failed"]
    assert reason(world, workflow).code == ("retry" if counts else code)


def test_a_refused_package_is_not_tried_again(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1, policies=[{"retries": 3}])
    world.core.runs.start(workflow)
    world.drive(board, "refused")
    assert world.states(workflow) == ["failed"]


def test_a_step_is_tried_as_often_as_its_policy_says_and_tells_each_time_why_and_when(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=2, backoff=10)
    fail(world, board, workflow)
    told = world.changes[-1]
    sentence = "Exit code 3. Retry 1 of 2 begins at 2026-01-01 00:00:10 UTC, from the beginning"
    assert reason(world, workflow) == StepReason("retry", sentence, 3, ("boom",))
    assert (told.run_state, told.step["state"], told.step["attempt"]) == ("waiting", "waiting", 2)
    assert (told.step["reason"]["message"], told.step["board"]) == (sentence, None)
    for attempt in (2, 3):
        world.beat(20)
        assert board.assignments[0].attempt == attempt
        world.drive(board, "failed")
    assert (world.states(workflow), reason(world, workflow).message) == (["failed"], "Exit code 3")
    assert [change.seq for change in world.changes] == list(range(1, 8))


def test_each_wait_is_longer_than_the_one_before_up_to_the_longest(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=4, backoff=10, backoff_factor=3, backoff_most=50)
    for seconds in (10, 30, 50, 50):
        fail(world, board, workflow)
        world.beat(seconds - 0.5)
        assert board.assignments == []
        world.beat(0.5)
        world.drive(board, "state")


def test_a_first_wait_that_is_longer_than_the_longest_by_default_is_kept(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=1, backoff=600)
    fail(world, board, workflow)
    assert world.run(workflow).step.retry_at == world.now + timedelta(seconds=600)


def test_steps_that_failed_together_do_not_come_back_together(world: World) -> None:
    board = world.board(slots=20)
    workflows = [begun(world, board, retries=1, backoff=10, jitter=0.5) for _ in range(20)]
    for workflow in workflows:
        fail(world, board, workflow)
    moments = {world.run(workflow).step.retry_at for workflow in workflows}
    waits = [moment - world.now for moment in moments if moment is not None]
    assert len(waits) == 20
    assert timedelta(seconds=5) <= min(waits) < timedelta(seconds=9)
    assert timedelta(seconds=11) < max(waits) <= timedelta(seconds=15)


def test_a_step_without_a_wait_is_tried_again_at_once_on_its_slot(world: World) -> None:
    board = world.board(slots=1)
    workflow = begun(world, board, retries=1, backoff=0)
    world.core.runs.start(world.workflow(1))
    fail(world, board, workflow)
    assert [(sent.run, sent.attempt) for sent in board.assignments] == [(world.run(workflow).id, 2)]
    assert "Retry 1 of 1 begins at once" in world.changes[-1].step["reason"]["message"]


def test_a_step_that_waits_for_its_time_leaves_its_slot_to_others_and_keeps_its_place_in_the_queue(
    world: World,
) -> None:
    board = world.board(slots=1)
    workflow = begun(world, board, retries=1, backoff=8)
    second, third = world.workflow(1), world.workflow(1)
    for other in (second, third):
        world.core.runs.start(other)
    fail(world, board, workflow)
    assert [sent.run for sent in board.assignments] == [world.run(second).id]
    world.beat(8)
    assert reason(world, workflow).code == "no-slot"
    world.drive(board, "completed")
    assert [sent.run for sent in board.assignments] == [world.run(workflow).id]


@pytest.mark.parametrize(("resumable", "expected"), [(True, POINT), (False, None)])
def test_a_retry_goes_on_from_the_last_checkpoint_where_the_workty_can(
    world: World, resumable: bool, expected: m.Checkpoint | None
) -> None:
    board = world.board()
    workflow = world.workflow(1, recovery={"resumable": resumable}, policies=[{"retries": 1}])
    world.core.runs.start(workflow)
    world.drive(board, "state", "failed", state={"checkpoint": POINT})
    assert ("from its last checkpoint" in reason(world, workflow).message) == resumable
    world.beat(2)
    assert [sent.checkpoint for sent in board.assignments] == [expected]


def test_what_the_failed_attempt_still_says_changes_nothing(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=1, backoff=10)
    world.say(board, world.key(workflow), m.Failed, reason=m.Reason("exit", ""), return_code=1)
    world.deliver(keep=True)
    before = world.run(workflow)
    world.deliver_all()
    assert world.run(workflow) == before


# --- commands meanwhile


def test_a_pause_forgets_the_wait_and_resume_sends_the_step_at_once(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=1, backoff=1000)
    fail(world, board, workflow)
    world.core.runs.pause(workflow)
    assert world.run(workflow).state is RunState.PAUSED
    world.beat(2000)
    assert board.assignments == []
    world.core.runs.resume(workflow)
    assert [sent.attempt for sent in board.assignments] == [2]


def test_a_step_that_waits_for_its_time_is_stopped_at_once_and_not_tried_again(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=1, backoff=10)
    fail(world, board, workflow)
    with pytest.raises(StateForbids, match="Nothing is paused"):
        world.core.runs.resume(workflow)
    world.core.runs.stop(workflow, "enough")
    world.beat(20)
    assert (world.states(workflow), board.assignments) == (["stopped"], [])


def test_a_failure_while_a_pause_is_asked_for_pauses_before_the_retry(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=1, backoff=0)
    world.core.runs.pause(workflow)
    fail(world, board, workflow)
    assert (world.run(workflow).state, board.assignments) == (RunState.PAUSED, [])
    world.core.runs.start(workflow)
    finish(world, board, workflow)
    assert (world.states(workflow), world.run(workflow).step.attempt) == (["completed"], 2)


def test_a_failure_while_a_stop_is_asked_for_is_not_tried_again(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=1, backoff=0)
    world.core.runs.stop(workflow, "enough")
    fail(world, board, workflow)
    assert (world.states(workflow), board.assignments) == (["failed"], [])


def test_a_timer_changes_nothing_before_its_time_and_after_it_was_heeded(world: World) -> None:
    board = world.board()
    workflow = begun(world, board, retries=1, backoff=10)
    fail(world, board, workflow)
    world.core.engine.handle(world.run(workflow).id, [TimerDue()])
    assert (board.assignments, world.run(workflow).queued) == ([], False)
    world.now += timedelta(seconds=10)
    assert world.store.due(world.now) == [world.run(workflow).id]
    for _ in range(3):
        world.core.engine.handle(world.run(workflow).id, [TimerDue()])
    assert [sent.attempt for sent in board.assignments] == [2]
    assert world.store.due(world.now) == []


# --- lost boards


def test_a_run_that_lost_three_boards_is_tried_again_where_its_policy_says_so_and_may_lose_others(
    world: World,
) -> None:
    board = world.board()
    workflow = world.workflow(1, policies=[{"retries": 1, "retry_on": ["board-lost"], "backoff": 0}])
    world.core.runs.start(workflow)
    for attempt in range(2, 7):
        world.take(board)
        world.reboot(board)
        world.deliver_all()
        assert (world.states(workflow), world.run(workflow).step.attempt) == (["waiting"], attempt)
    assert world.run(workflow).step.failures == 1
    world.take(board)
    world.reboot(board)
    world.deliver_all()
    assert (world.states(workflow), reason(world, workflow).code) == (["failed"], "board-lost")


@CUTS
def test_a_step_that_may_not_start_again_by_itself_does_where_its_policy_says_so(world: World, cut: Any) -> None:
    board = world.board(slots=1)
    policy = {"retries": 1, "retry_on": ["interrupted"], "backoff": 0}
    workflow = world.workflow(1, recovery={"on_interrupt": "fail"}, policies=[policy])
    world.core.runs.start(workflow)
    world.drive(board, "state")
    cut(world, board)
    world.heartbeat(board)
    assert [(sent.attempt, sent.checkpoint) for sent in board.assignments] == [(2, None)]


def test_a_retry_after_a_lost_board_goes_to_another_one(world: World) -> None:
    first = world.board(slots=1)
    policy = {"retries": 1, "retry_on": ["interrupted"], "backoff": 0}
    workflow = world.workflow(1, recovery={"on_interrupt": "fail"}, policies=[policy])
    world.core.runs.start(workflow)
    world.drive(first, "state")
    world.sweep(11)
    second = world.board(slots=1)
    world.sweep(5)
    assert (first.assignments, world.core.boards.all()[0].leases) == ([], ())
    assert [sent.run for sent in second.assignments] == [world.run(workflow).id]
