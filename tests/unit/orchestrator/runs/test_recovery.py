"""How a step goes on whose attempt was cut short: from a checkpoint or the beginning, on which board, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.errors import Unavailable
from orchestrator.runs.vocabulary import RunState, StepReason
from tests.unit.orchestrator.runs.world import BoardModel, World
from workties import messages as m

POINT = m.Checkpoint("copying", {"done": 7})
AGENT_STOP = {"reason": m.Reason("agent-stop", "the agent was stopped")}


def started(world: World, board: BoardModel, *, point: m.Checkpoint | None = None, **recovery: Any) -> ObjectId:
    """A workflow whose only step runs on the board, and has made a checkpoint if one is given."""
    workflow = world.workflow(1, recovery=recovery)
    world.core.runs.start(workflow)
    world.drive(board, "state", state={"checkpoint": point} if point else {})
    return workflow


def reason(world: World, workflow: ObjectId) -> StepReason:
    found = world.run(workflow).step.reason
    assert found is not None
    return found


def lose(world: World, _board: BoardModel) -> None:
    world.sweep(11)
    world.sweep(5)


def reboot(world: World, board: BoardModel) -> None:
    world.reboot(board)
    world.deliver_all()


def forget(world: World, board: BoardModel) -> None:
    board.journal.clear()
    for _ in range(5):
        world.beat(3)


def leave(world: World, board: BoardModel) -> None:
    for key in list(board.journal):
        world.say(board, key, m.Interrupted, **AGENT_STOP)
    world.deliver_all()
    world.core.fleet.heard(world.bye(board))


CUTS = pytest.mark.parametrize("cut", [lose, reboot, forget, leave])


@CUTS
@pytest.mark.parametrize(
    ("recovery", "point", "expected"),
    [
        ({}, POINT, POINT),
        ({}, None, None),
        ({"on_interrupt": "fail"}, POINT, POINT),
        ({"resumable": False}, POINT, None),
    ],
    ids=["from its checkpoint", "without one from the beginning", "never to start again", "cannot go on from one"],
)
def test_an_attempt_that_was_cut_short_is_followed_by_another(
    world: World, cut: Any, recovery: dict[str, Any], point: m.Checkpoint | None, expected: m.Checkpoint | None
) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, point=point, **recovery)
    cut(world, board)
    world.heartbeat(board)
    told = world.changes[-1].step
    assert (told["state"], told["attempt"]) == ("waiting", 2)
    assert [(sent.attempt, sent.checkpoint) for sent in board.assignments] == [(2, expected)]
    assert world.run(workflow).step.checkpoint == expected


@CUTS
@pytest.mark.parametrize("resumable", [True, False])
def test_a_step_that_may_not_start_again_fails_and_says_why(world: World, cut: Any, resumable: bool) -> None:
    board = world.board(slots=1)
    point = None if resumable else POINT
    workflow = started(world, board, point=point, on_interrupt="fail", resumable=resumable)
    cut(world, board)
    assert world.states(workflow) == ["failed"]
    assert reason(world, workflow).code == "interrupted"
    assert board.id not in reason(world, workflow).message
    assert "board-0" in reason(world, workflow).message
    assert 'on_interrupt = "fail"' in reason(world, workflow).message
    assert world.core.boards.all()[0].leases == ()


@pytest.mark.parametrize("cut", [lose, leave])
def test_an_attempt_that_had_not_begun_is_always_tried_again(world: World, cut: Any) -> None:
    board = world.board(slots=1)
    workflow = world.workflow(1, recovery={"on_interrupt": "fail", "offline_grace": 600})
    world.core.runs.start(workflow)
    cut(world, board)
    world.heartbeat(board)
    assert board.assignments[-1].attempt == 2
    assert world.states(workflow) == ["waiting"]


def test_a_pause_is_no_interruption(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, on_interrupt="fail")
    world.core.runs.pause(workflow)
    world.say(board, world.key(workflow), m.Interrupted, reason=m.Reason("paused", ""))
    world.deliver_all()
    assert world.states(workflow) == ["paused"]
    world.core.runs.start(workflow)
    assert [sent.attempt for sent in board.assignments] == [2]


def test_a_stop_that_a_loss_overtakes_is_a_stop(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, on_interrupt="fail")
    world.core.runs.stop(workflow, "enough")
    lose(world, board)
    assert world.run(workflow).state is RunState.STOPPED


# --- time to be away


def test_a_silent_board_keeps_only_the_steps_that_may_be_silent_for_long(world: World) -> None:
    board = world.board(slots=2)
    patient, other = started(world, board, offline_grace=600), started(world, board, point=POINT)
    second = world.board(slots=2)
    world.sweep(11)
    world.heartbeat(second)
    world.sweep(500)
    assert [lease.run for lease in world.core.boards.all()[0].leases] == [world.run(patient).id]
    assert [sent.run for sent in second.assignments] == [world.run(other).id]
    key = world.key(patient)
    world.heartbeat(board)
    world.say(board, key, m.Completed)
    world.deliver_all()
    assert world.states(patient) == ["completed"]
    assert world.run(patient).step.attempt == 1


def test_a_step_that_goes_on_after_a_pause_waits_for_no_board_that_has_not_accepted_it(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, point=POINT, offline_grace=600)
    world.core.runs.pause(workflow)
    world.obey(board)
    world.deliver_all()
    world.core.runs.start(workflow)
    second = world.board(slots=1)
    world.sweep(11)
    world.heartbeat(second)
    world.sweep(5)
    assert [(sent.run, sent.checkpoint) for sent in second.assignments] == [
        (world.run(workflow).id, m.Checkpoint("s", {"n": 1}))
    ]


def test_a_board_that_is_silent_for_longer_loses_also_those(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, point=POINT, offline_grace=600)
    second = world.board(slots=1)
    world.sweep(11)
    world.sweep(588)
    world.heartbeat(second)
    assert second.assignments == []
    world.sweep(2)
    assert [(sent.attempt, sent.checkpoint) for sent in second.assignments] == [(2, POINT)]
    assert world.run(workflow).losses == 1


def test_a_board_that_restarts_within_its_time_goes_on_with_its_step_and_nobody_else_gets_it(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, point=POINT, offline_grace=600)
    second = world.board(slots=1)
    leave(world, board)
    for _ in range(20):
        world.heartbeat(second)
        world.sweep(10)
    assert board.assignments == second.assignments == []
    assert (world.states(workflow), reason(world, workflow).code) == (["waiting"], "agent-stop")
    board.boot, board.beats = 2, 0
    world.heartbeat(board)
    assert [(sent.attempt, sent.checkpoint) for sent in board.assignments] == [(2, POINT)]
    world.drive(board, "state", "completed")
    assert (world.states(workflow), world.run(workflow).losses) == (["completed"], 0)


def test_a_board_that_stopped_and_does_not_come_back_in_time_hands_over_without_a_loss(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, point=POINT, offline_grace=600)
    second = world.board(slots=1)
    leave(world, board)
    world.heartbeat(second)
    world.sweep(601)
    assert [(sent.attempt, sent.checkpoint) for sent in second.assignments] == [(2, POINT)]
    assert world.run(workflow).losses == 0


def test_a_power_cut_within_its_time_costs_a_loss_and_the_same_board_goes_on(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, point=POINT, offline_grace=600)
    second = world.board(slots=1)
    world.sweep(11)
    world.heartbeat(second)
    world.sweep(300)
    reboot(world, board)
    assert second.assignments == []
    assert [(sent.attempt, sent.checkpoint) for sent in board.assignments] == [(2, POINT)]
    assert world.run(workflow).losses == 1


def test_a_step_that_waits_for_its_board_is_stopped_and_paused_at_once(world: World) -> None:
    board = world.board(slots=2)
    stopped, paused = (started(world, board, point=POINT, offline_grace=600) for _ in range(2))
    leave(world, board)
    world.core.runs.stop(stopped, "enough")
    world.core.runs.pause(paused)
    assert [world.run(found).state for found in (stopped, paused)] == [RunState.STOPPED, RunState.PAUSED]
    assert world.core.boards.all()[0].leases == ()


def test_a_board_that_is_away_is_not_asked_again_and_again(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, offline_grace=6000)
    world.core.runs.stop(workflow, "enough")
    for _ in range(100):
        world.sweep(11)
    asked = len(board.controls)
    assert asked <= 2, "once more at most, before it was known to be away"
    world.heartbeat(board)
    world.sweep()
    assert len(board.controls) == asked + 1


def test_a_slot_that_is_kept_on_an_absent_board_keeps_no_other_run_waiting(world: World) -> None:
    board = world.board(slots=1)
    started(world, board, point=POINT, offline_grace=600)
    leave(world, board)
    other = world.workflow(1)
    world.core.runs.start(other)
    second = world.board(slots=1)
    assert [sent.run for sent in second.assignments] == [world.run(other).id]


def test_a_process_that_dies_before_it_welcomes_a_board_is_made_up_for(world: World) -> None:
    board = world.board(slots=1)
    started(world, board, point=POINT, offline_grace=600)
    leave(world, board)
    world.database["devices"].update_many({}, {"$set": {"connected": True, "lastSeen": world.now}})
    world.sweep(2)
    assert board.assignments == []
    world.beat(3)
    assert [sent.attempt for sent in board.assignments] == [2]


def test_a_board_that_is_removed_gives_up_also_what_may_wait_for_long(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board, point=POINT, offline_grace=600)
    second = world.board(slots=1)
    world.core.boards.remove(ObjectId(board.id))
    world.core.fleet.lose(board.id)
    assert [sent.run for sent in second.assignments] == [world.run(workflow).id]


# --- what is seen of it


def test_each_state_of_a_program_is_told_in_order_and_kept_with_its_step(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board)
    assert world.progress == []
    key = world.key(workflow)
    for state in ("copying", "checking"):
        world.say(board, key, m.Progress, progress=0.5)
        world.say(board, key, m.StateReported, state=state, checkpoint=m.Checkpoint(state))
    world.say(board, key, m.StateReported, state="resting")
    world.core.engine.handle(key[0], [event for event in world.events if isinstance(event, m.StepEvent)])
    told = [made for made in world.progress if made.workty_state is not None]
    expected = [("copying", True), ("checking", True), ("resting", False)]
    assert [(made.workty_state, made.checkpoint) for made in told] == expected
    assert [made.progress for made in told] == [0.5] * 3
    assert (world.run(workflow).step.workty_state, world.run(workflow).step.checkpointed) == ("resting", world.now)
    world.events.clear()
    reboot(world, board)
    lost = world.changes[-1].step
    assert (lost["worktyState"], lost["checkpointed"]) == ("resting", "2026-01-01T00:00:00.000Z")


def test_a_state_that_a_process_did_not_get_to_tell_is_told_by_another(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world, board)
    world.say(board, world.key(workflow), m.StateReported, state="copying")
    tell = world.progressed

    def away(_made: object) -> None:
        raise Unavailable("The message broker")

    world.progressed = away  # type: ignore[assignment, method-assign]
    world.deliver_all()
    world.progressed = tell  # type: ignore[method-assign]
    world.beat(6)
    assert [made.workty_state for made in world.progress] == ["copying"]
