"""The database is an older one than boards know: runs catch up with what boards report, and the log says so."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.core import build_core
from orchestrator.runs.catching_up import MOST_FURTHER, Further, further
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.world import BoardModel, World, finish
from workties import messages as m

Backup = dict[str, list[dict[str, Any]]]


def backup(world: World) -> Backup:
    """A copy of the whole database."""
    return {name: list(world.database[name].find()) for name in world.database.list_collection_names()}


def restore(world: World, copy: Backup) -> None:
    """Begin again with an older database; all that was on its way is lost."""
    for name in world.database.list_collection_names():
        world.database[name].delete_many({})
        if copy.get(name):
            world.database[name].insert_many(copy[name])
    world.events.clear()
    world.core = build_core(world.database, world, world, world.link, clock=world.clock)


def live(world: World, board: BoardModel, beats: int = 10) -> None:
    """Time passes; the board takes what it is sent and obeys, and ends nothing by itself."""
    for _ in range(beats):
        while world.events or board.controls or board.assignments:
            world.deliver_all()
            while board.controls:
                world.obey(board)
            while board.assignments:
                world.take(board)
        world.beat()


def started(world: World, steps: int = 1, **package: Any) -> tuple[BoardModel, ObjectId]:
    board, workflow = world.board(slots=1), world.workflow(steps, **package)
    world.core.runs.start(workflow)
    return board, workflow


def test_steps_that_ended_after_the_backup_are_recorded_and_do_not_run_again(world: World) -> None:
    board, workflow = started(world, steps=3)
    world.drive(board, "state")
    copy = backup(world)
    world.say(board, world.key(workflow), m.Completed, output={"answer": 1})
    world.deliver_all()
    finish(world, board, workflow)
    begun = list(board.begun)
    restore(world, copy)
    live(world, board)
    assert world.states(workflow) == ["completed"] * 3
    assert world.run(workflow).steps[0].output == {"answer": 1}
    assert board.begun == begun
    assert world.run(workflow).losses == 0


def test_a_step_that_was_not_sent_when_the_backup_was_made_is_recorded_as_its_board_knows_it(world: World) -> None:
    board, workflow = started(world, steps=2)
    copy = backup(world)
    finish(world, board, workflow)
    restore(world, copy)
    live(world, board)
    assert world.states(workflow) == ["completed"] * 2
    assert len(board.begun) == 2


def test_a_later_attempt_on_the_board_is_taken_over(world: World, caplog: pytest.LogCaptureFixture) -> None:
    board, workflow = started(world)
    world.drive(board, "state")
    copy = backup(world)
    for _ in range(2):
        world.reboot(board)
        world.deliver_all()
        world.drive(board, "state")
    restore(world, copy)
    with caplog.at_level(logging.WARNING):
        live(world, board)
    run = world.run(workflow)
    assert (run.step.attempt, run.state, run.losses) == (3, RunState.RUNNING, 0)
    world.say(board, world.key(workflow), m.Completed)
    world.deliver_all()
    assert world.states(workflow) == ["completed"]
    assert [attempt for _, _, attempt in board.begun] == [1, 2, 3]
    summaries = [text for text in caplog.messages if "as after the restore of a backup" in text]
    assert len(summaries) == 1
    assert "attempts that are further on their boards, with which the runs catch up: 1" in summaries[0]


def test_an_event_of_a_later_attempt_is_applied_at_once(world: World) -> None:
    board, workflow = started(world)
    world.drive(board, "state")
    copy = backup(world)
    world.reboot(board)
    world.deliver_all()
    world.drive(board, "state")
    key = world.key(workflow)
    restore(world, copy)
    world.say(board, key, m.Completed, output={"answer": 2})
    world.deliver_all()
    step = world.run(workflow).step
    assert (step.state.value, step.attempt, step.output) == ("completed", 2, {"answer": 2})
    assert board.controls == []


def test_a_later_step_on_the_board_goes_on_while_the_run_catches_up(world: World) -> None:
    board, workflow = started(world, steps=3)
    world.drive(board, "state")
    copy = backup(world)
    world.say(board, world.key(workflow), m.Completed)
    world.deliver_all()
    world.drive(board, "state")
    begun = list(board.begun)
    restore(world, copy)
    world.say(board, begun[-1], m.Progress, progress=0.5)
    live(world, board)
    assert world.states(workflow) == ["completed", "running", "initial"]
    assert board.begun == begun
    world.say(board, begun[-1], m.Completed)
    live(world, board)
    assert world.run(workflow).step.instance != begun[-1][1]


def test_a_step_that_another_board_took_over_goes_on_where_the_database_has_it(world: World) -> None:
    first, workflow = started(world)
    world.drive(first, "state")
    copy = backup(world)
    second = world.board(slots=1)
    world.reboot(first)
    world.events.clear()
    world.core.fleet.heard(world.bye(first))
    key = second.assignments[0].run, second.assignments[0].instance, 2
    world.take(second)
    restore(world, copy)
    world.database["devices"].insert_one(
        {
            **copy["devices"][0],
            "_id": ObjectId(second.id),
            "name": "second",
            "leases": [],
            "boot": "",
            "boots": [],
            "draining": True,
        }
    )
    world.heartbeat(first)
    for _ in range(10):
        live(world, first, 1)
        while second.controls:
            world.obey(second)
    run = world.run(workflow)
    assert run.board is not None
    assert (run.board.id, run.step.attempt, run.state) == (first.id, 2, RunState.RUNNING)
    assert key not in second.journal


def test_a_stop_that_the_database_knows_of_reaches_the_later_attempt(world: World) -> None:
    board, workflow = started(world)
    world.drive(board, "state")
    world.core.runs.stop(workflow, "enough")
    board.controls.clear()
    copy = backup(world)
    world.reboot(board)
    board.journal[(*world.key(workflow)[:2], 2)] = 1
    board.known.add((*world.key(workflow)[:2], 2))
    restore(world, copy)
    live(world, board)
    assert world.run(workflow).state is RunState.STOPPED
    assert board.journal == {}


def test_a_board_that_knows_higher_numbers_as_given_up_gets_a_new_one_which_is_no_loss(world: World) -> None:
    board, workflow = started(world)
    copy = backup(world)
    assignment = board.assignments.pop()
    board.known.update((assignment.run, assignment.instance, attempt) for attempt in range(1, 100))
    restore(world, copy)
    live(world, board)
    run = world.run(workflow)
    assert (run.step.attempt, run.state, run.losses) == (128, RunState.RUNNING, 0)


def test_a_board_that_refuses_every_number_fails_the_run_in_the_end(world: World) -> None:
    board, workflow = started(world)
    assignment = board.assignments[0]
    board.known.add((assignment.run, assignment.instance, 10**9))
    live(world, board)
    assert world.run(workflow).state is RunState.FAILED


def test_runs_that_the_database_does_not_have_are_forgotten_and_counted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    board = world.board(slots=2)
    copy = backup(world)
    for _ in range(2):
        workflow = world.workflow(1)
        world.core.runs.start(workflow)
        world.drive(board, "state")
    lease = world.core.boards.all()[0].leases[0]
    restore(world, copy)
    world.database["devices"].update_one({}, {"$push": {"leases": {"run": lease.run, "at": lease.at}}})
    with caplog.at_level(logging.WARNING):
        live(world, board)
    assert board.journal == {}
    assert world.core.boards.all()[0].leases == ()
    [summary] = [text for text in caplog.messages if "as after the restore of a backup" in text]
    assert "attempts of runs that are unknown here, which their boards forget: 2" in summary
    assert "leases that nobody used, which are freed: 1" in summary


def test_what_no_board_knows_better_is_not_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    board, workflow = world.board(slots=2), world.workflow(2)
    world.core.runs.start(workflow)
    assert world.core.boards.lease(world.core.boards.all()[0], str(ObjectId()), world.now)
    with caplog.at_level(logging.WARNING):
        world.core.fleet.heard(m.Heartbeat(**world.vitals(BoardModel(str(ObjectId())))))
        world.drive(board, "state")
        world.reboot(board)
        live(world, board)
        world.core.runs.stop(workflow, "enough")
        live(world, board)
    assert world.run(workflow).state is RunState.STOPPED
    assert not [text for text in caplog.messages if "as after the restore" in text]


def test_only_the_board_that_has_the_slot_is_believed_and_only_so_far(world: World) -> None:
    board, workflow = started(world, steps=2)
    world.drive(board, "state")
    run = world.run(workflow)
    first, second = (step.instance for step in run.steps)
    assert further(run, board.id, first, 1) is None
    assert further(run, board.id, first, 2) is Further.ATTEMPT
    assert further(run, board.id, second, 1) is Further.STEP
    assert further(run, str(ObjectId()), first, 2) is None
    assert further(run, board.id, first, 2 + MOST_FURTHER) is None
    assert further(run, board.id, str(ObjectId()), 1) is None
