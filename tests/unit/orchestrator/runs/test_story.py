"""The story of a run in sentences, and what it says of the present: through the engine, with boards that tests play."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.boards.store import Board
from orchestrator.durations import spelled
from orchestrator.runs.outlook import outlook
from orchestrator.runs.store import KEPT_CHANGES, Told
from orchestrator.runs.story import missing_changes, story
from orchestrator.runs.vocabulary import (
    BoardRef,
    Run,
    RunState,
    Step,
    StepReason,
    StepState,
)
from tests.unit.orchestrator.runs.world import DETAILS, KINDS, BoardModel, World
from workties import messages as m
from workties.manifest import Recovery


def started(world: World, steps: int = 1, **fields: Any) -> ObjectId:
    workflow = world.workflow(steps, **fields)
    world.core.runs.start(workflow)
    return workflow


def wait(world: World, seconds: float) -> None:
    world.now += timedelta(seconds=seconds)


def say(world: World, board: BoardModel, workflow: ObjectId, kind: str, **fields: Any) -> None:
    world.say(board, world.key(workflow), KINDS[kind], **DETAILS[kind] | fields)
    world.deliver_all()


def told(world: World, workflow: ObjectId) -> Told:
    found = world.store.told(ObjectId(world.run(workflow).id))
    assert found is not None
    return found


def lines(world: World, workflow: ObjectId) -> list[str]:
    """The story but for its first sentence, each with the second in which it happened."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    moments = story(told(world, workflow))[1:]
    return [f"{(moment.at - begin).total_seconds():g} {moment.step}: {moment.text}" for moment in moments]


def test_a_plain_run_is_told_shortly(world: World) -> None:
    board = world.board()
    workflow = started(world, steps=2)
    for _ in range(2):
        world.drive(board, "state")
        wait(world, 4)
        say(world, board, workflow, "completed")
    assert lines(world, workflow) == [
        "0 w (step 1): runs on board 'board-0'",
        "4 w (step 1): completed after 4 s",
        "4 w (step 2): runs on board 'board-0'",
        "8 w (step 2): completed after 4 s",
    ]
    first = story(told(world, workflow))[0]
    assert (first.step, first.text) == ("", "Run 1 was asked for: 2 steps")


def test_what_a_run_waited_for_is_told_as_it_changed(world: World) -> None:
    board = world.board()
    workflow = started(world, labels=["camera"])
    wait(world, 30)
    world.heartbeat(board)
    world.core.boards.change(ObjectId(board.id), {"givenLabels": ["camera"], "disabled": True})
    world.sweep()
    wait(world, 60)
    world.heartbeat(board)
    world.core.boards.change(ObjectId(board.id), {"disabled": False})
    world.sweep()
    wait(world, 2)
    world.drive(board, "state")
    assert lines(world, workflow) == [
        "0 w: waits: No board has label 'camera'; 1 board is connected (board-0)",
        "30 w: waits: No board with label 'camera' is available: 1 is disabled (board-0)",
        "90 w: sent to board 'board-0'",
        "92 w: runs on board 'board-0', having waited 1 min 32 s",
    ]


def test_a_lost_board_and_a_failure_are_told_with_attempts_and_last_lines(world: World) -> None:
    first = world.board(slots=1)
    workflow = started(world)
    world.drive(first, "state")
    say(world, first, workflow, "state", state="copying", checkpoint=m.Checkpoint("copying", {}))
    second = world.board(slots=1)
    for _ in range(5):
        wait(world, 3)
        world.heartbeat(second)
        world.sweep()
    world.drive(second, "state")
    wait(world, 3)
    say(world, second, workflow, "failed", reason=m.Reason("exit", "It broke"))
    assert lines(world, workflow) == [
        "0 w: runs on board 'board-0'",
        "15 w: attempt 1 ended after 15 s; it was in state 'copying': Board 'board-0' was lost. "
        "The step goes on from its last checkpoint",
        "15 w: runs on board 'board-1' as attempt 2",
        "18 w: failed after 3 s: It broke (exit code 3)",
    ]
    assert story(told(world, workflow))[-1].lines == ("boom",)


def test_what_follows_a_failure_by_its_policy_is_told(world: World) -> None:
    board = world.board(slots=1)
    policies = [{"on_failure": "skip"}, {"on_failure": "cleanup"}, {}, {"cleanup": True, "on_failure": "skip"}]
    workflow = started(world, 4, policies=policies)
    for _ in range(3):
        world.drive(board, "failed")
    assert [line.partition(" failed")[2] for line in lines(world, workflow) if "failed" in line] == [
        ": Exit code 3; skipped, as its policy says",
        ": Exit code 3; the steps that clean up follow",
        ": Exit code 3",
    ]


def test_the_exit_code_of_a_signal_is_not_told(world: World) -> None:
    board = world.board(slots=1)
    workflow = started(world)
    world.drive(board, "state")
    say(world, board, workflow, "failed", reason=m.Reason("timeout", "It ran longer than 1 s"), return_code=-15)
    assert lines(world, workflow)[-1] == "0 w: failed: It ran longer than 1 s"


def test_commands_are_told_when_they_were_asked_for_and_when_they_were_done(world: World) -> None:
    board = world.board()
    workflow = started(world)
    world.drive(board, "state")
    wait(world, 2)
    world.core.runs.pause(workflow)
    wait(world, 3)
    world.obey(board)
    world.deliver_all()
    wait(world, 10)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.pause(workflow)
    world.core.runs.resume(workflow)
    world.core.runs.stop(workflow, "It is late")
    board.controls.pop(0)
    world.obey(board)
    world.deliver_all()
    assert lines(world, workflow)[1:] == [
        "2 w: asked to pause at its next checkpoint",
        "5 w: paused after 5 s",
        "15 w: resumed",
        "15 w: runs on board 'board-0' as attempt 2",
        "15 w: asked to pause at its next checkpoint",
        "15 w: the pause was withdrawn",
        "15 w: asked to stop: It is late",
        "15 w: stopped: It is late",
    ]


def test_what_is_no_longer_kept_is_counted_and_the_rest_is_told(world: World) -> None:
    world.board()
    found = told(world, started(world))
    [entry] = found.history
    kept = [entry | {"seq": seq, "state": "running"} for seq in range(101, 101 + KEPT_CHANGES)]
    cut = replace(found, history=kept)
    assert (missing_changes(found), missing_changes(cut)) == (0, 100)
    assert [moment.step for moment in story(cut)] == [""] + ["w"] * KEPT_CHANGES
    assert missing_changes(replace(found, history=(), notes=())) == 1


# --- now

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
REF = BoardRef("b", "attic")
AGO = NOW - timedelta(seconds=12)
THERE = Board("b", "attic", True, False, False, 1, (), frozenset(), frozenset(), AGO, ())
AWAY = replace(THERE, connected=False)
SLOT = StepReason("no-slot", "Board 'attic' fits, and its only slot is busy")
NO_BOARD = StepReason("no-board", "No board has label 'camera'; 2 boards are connected")
RETRY = StepReason("retry", "Exit code 1. Retry 1 of 3 begins at 12:00")


def run(state: RunState, step: dict[str, Any], **more: Any) -> Run:
    program = m.Program("6e" * 12, "copy", "1", "python", "main.py")
    steps = (Step(instance="i", name="", desc="", program=program, package=None, **step),)
    known = {"id": "RUN", "workflow": "FLOW", "workflow_name": "nightly", "workflow_desc": "", "account": "a"}
    return Run(**known, number=1, steps=steps, created=NOW - timedelta(minutes=3), state=state, **more)  # type: ignore[arg-type]


WAITING, RUNNING = {"state": StepState.WAITING}, {"state": StepState.RUNNING, "attempt": 2, "accepted": AGO}
QUEUED = {"queued": True, "waiting_since": AGO}
TIMEOUT = StepReason("timeout", "Too long")
GRACE = Recovery(offline_grace=60)


@pytest.mark.parametrize(
    ("found", "board", "slot", "sentence"),
    [
        (
            run(RunState.WAITING, WAITING, **QUEUED),
            None,
            (SLOT, 4),
            f"step 'copy' waits for 12 s for a slot. {SLOT.message}; 4 runs are ahead of it in the queue",
        ),
        (
            run(RunState.WAITING, WAITING, **QUEUED),
            None,
            (NO_BOARD, 4),
            f"step 'copy' waits for 12 s for a slot. {NO_BOARD.message}",
        ),
        (
            run(RunState.WAITING, WAITING | {"dispatched": AGO}, board=REF),
            AWAY,
            None,
            "step 'copy' was sent to board 'attic' 12 s ago, which has not answered yet; the board is disconnected, "
            "last heard 12 s ago",
        ),
        (
            run(RunState.WAITING, WAITING | {"dispatched": AGO, "accepted": AGO}, board=REF),
            THERE,
            None,
            "step 'copy' was accepted by board 'attic' 12 s ago and has not begun; the board was heard 12 s ago",
        ),
        (
            run(RunState.WAITING, WAITING | {"recovery": GRACE}, board=REF),
            AWAY,
            None,
            "step 'copy' waits for board 'attic' to come back; the board is disconnected, last heard 12 s ago. "
            "From 2026-01-01 00:10:48 UTC on, in 48 s, it goes on elsewhere",
        ),
        (
            run(RunState.WAITING, WAITING | {"retry_at": NOW + timedelta(seconds=30), "reason": RETRY}),
            None,
            None,
            f"step 'copy' is tried again in 30 s: {RETRY.message}",
        ),
        (
            run(RunState.RUNNING, RUNNING | {"progress": 0.4, "workty_state": "copying"}, board=REF),
            THERE,
            None,
            "step 'copy' runs on board 'attic' for 12 s (attempt 2), 40% done, in state 'copying'",
        ),
        (
            run(RunState.PAUSING, RUNNING | {"asked": AGO}, board=REF),
            None,
            None,
            "board 'attic' was asked 12 s ago to pause at its next checkpoint, and has not confirmed it yet; that "
            "board is no longer part of the fleet",
        ),
        (
            run(RunState.PAUSED, {"state": StepState.PAUSED}, deadline=NOW),
            None,
            None,
            "paused at step 'copy'; nothing happens until it is resumed. The run fails if it has not ended by "
            "2026-01-01 00:10:00 UTC",
        ),
        (
            run(
                RunState.FAILED, {"state": StepState.FAILED, "reason": StepReason("timeout", "Too long")}, finished=NOW
            ),
            None,
            None,
            "failed 3 min after it was asked for, at step 'copy': Too long",
        ),
    ],
)
def test_what_is_so_now_is_one_sentence(
    found: Run, board: Board | None, slot: tuple[StepReason, int] | None, sentence: str
) -> None:
    assert outlook(found, board, slot, NOW).now == sentence


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.34, "0.3 s"), (59.9, "59 s"), (3600, "1 h"), (90061, "1 d 1 h")],
)
def test_lengths_of_time_are_spelled_in_two_units(seconds: float, text: str) -> None:
    assert spelled(timedelta(seconds=seconds)) == text
