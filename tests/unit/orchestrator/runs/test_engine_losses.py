"""Lost boards, missing answers, crashes between two effects: they cost time and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bson import ObjectId

from orchestrator.errors import Unavailable
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.world import Crashed, World, finish
from workties import messages as m

# --- losses


def test_a_lost_board_hands_its_step_to_another_with_the_last_checkpoint(world: World) -> None:
    first = world.board(slots=1)
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(first, "state", state={"checkpoint": m.Checkpoint("copying", {"done": 7})})
    second = world.board(slots=1)
    world.sweep(9)
    assert world.core.boards.all()[0].connected
    world.heartbeat(second)
    world.sweep(2)
    assert not world.core.boards.all()[0].connected
    world.heartbeat(second)
    world.sweep(5)
    assert second.assignments[0].checkpoint == m.Checkpoint("copying", {"done": 7})
    assert second.assignments[0].attempt == 2
    assert world.core.boards.all()[0].leases == ()


def test_silence_does_not_count_while_the_server_itself_hears_nothing(world: World) -> None:
    world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.sweep(60, hears=False)
    world.sweep(60, hears=False)
    assert world.core.boards.all()[0].connected
    assert world.run(workflow).step.attempt == 1


def test_the_third_lost_board_fails_the_run(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    for _ in range(3):
        assert world.run(workflow).state is not RunState.FAILED
        world.take(board)
        world.reboot(board)
        world.deliver_all()
    run = world.run(workflow)
    assert run.state is RunState.FAILED
    assert run.step.reason is not None
    assert run.step.reason.code == "board-lost"


def test_a_board_that_says_bye_hands_over_at_once_what_it_held(world: World) -> None:
    leaving = world.board(slots=1)
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    staying = world.board(slots=1)
    world.core.fleet.heard(world.bye(leaving))
    assert [assignment.attempt for assignment in staying.assignments] == [2]


def test_an_attempt_that_its_agent_interrupts_to_stop_goes_on_elsewhere_and_is_no_loss(world: World) -> None:
    leaving = world.board(slots=4)
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    staying = world.board(slots=1)
    point = m.Checkpoint("copying", {})
    reason = m.Reason("agent-stop", "")
    world.drive(leaving, "state", "interrupted", interrupted={"reason": reason, "checkpoint": point})
    assert leaving.assignments == []
    assert [(assignment.attempt, assignment.checkpoint) for assignment in staying.assignments] == [(2, point)]
    assert world.run(workflow).losses == 0


def test_a_stop_that_the_board_confirms_is_no_loss(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.stop(workflow, "enough")
    world.obey(board)
    world.deliver_all()
    assert (world.run(workflow).state, world.run(workflow).losses) == (RunState.STOPPED, 0)


@pytest.mark.parametrize(("seconds", "state"), [(59, "failed"), (61, "waiting")])
def test_a_step_whose_agents_stop_soon_after_they_took_it_is_not_tried_for_ever(
    world: World, seconds: int, state: str
) -> None:
    boards = [world.board(slots=1), world.board(slots=1)]
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    for _ in range(10):
        assert world.run(workflow).state is not RunState.FAILED
        board = next(board for board in boards if board.assignments)
        world.drive(board, "state", state={"checkpoint": m.Checkpoint("rebooting", {})})
        world.now += timedelta(seconds=seconds)
        world.say(board, world.key(workflow), m.Interrupted, reason=m.Reason("agent-stop", ""))
        world.deliver_all()
        for each in boards:
            world.heartbeat(each)
    assert (world.states(workflow), world.run(workflow).losses) == ([state], 0)


def test_an_assignment_without_an_answer_is_sent_again_as_the_same_attempt(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.beat(9)
    assert len(board.assignments) == 1
    world.beat(2)
    assert [assignment.attempt for assignment in board.assignments] == [1, 1]


def test_a_board_that_is_heard_and_never_answers_loses_the_attempt_and_the_third_time_the_run_fails(
    world: World,
) -> None:
    world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    attempts = [world.run(workflow).step.attempt]
    for _ in range(18):
        world.beat(10)
        attempts.append(world.run(workflow).step.attempt)
    assert attempts == [1] * 6 + [2] * 6 + [3] * 7
    run = world.run(workflow)
    assert (run.state, run.step.reason and run.step.reason.code) == (RunState.FAILED, "board-lost")
    assert "did not answer the step, which was sent to it 6 times" in str(run.step.reason)


def test_no_answer_is_missed_while_the_server_has_not_read_all_that_boards_said(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    for _ in range(20):
        world.heartbeat(board)
        world.sweep(10, hears=False)
    assert world.run(workflow).step.attempt == 1
    assert len(board.assignments) == 21


def test_a_stop_without_an_answer_is_asked_again(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.stop(workflow, "enough")
    world.beat(11)
    assert [control.command for control in board.controls] == ["stop", "stop"]


def test_an_attempt_that_no_heartbeat_lists_for_ten_seconds_is_lost_and_sent_again(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    board.journal.clear()
    for _ in range(4):
        world.beat(3)
    assert world.run(workflow).step.attempt == 1
    world.beat(3)
    assert world.run(workflow).step.attempt == 2


def test_an_attempt_that_no_heartbeat_could_list_yet_is_not_missing(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.beat(1)
    world.drive(board, "state")
    for _ in range(10):
        world.sweep(3, hears=False)
    assert world.run(workflow).step.attempt == 1


def test_a_board_is_told_to_forget_what_nobody_wants_of_it(world: World) -> None:
    board = world.board()
    board.journal[(str(ObjectId()), str(ObjectId()), 1)] = 3
    world.beat(3)
    world.beat(3)
    assert board.controls == []
    world.beat(3)
    assert [control.command for control in board.controls] == ["forget"]


def test_a_stopped_run_ends_even_if_its_board_is_lost(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    world.core.runs.stop(workflow, "enough")
    world.sweep(11)
    world.sweep(5)
    assert world.run(workflow).state is RunState.STOPPED


def test_a_refused_package_fails_the_step(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "refused")
    assert world.states(workflow) == ["failed"]
    assert [change.step["state"] for change in world.changes] == ["waiting", "running", "failed"]


def test_changed_properties_count_for_an_instance_not_yet_sent(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2)
    key = world.database["workty_properties"].insert_one({"name": "delay", "value": 1}).inserted_id
    world.database["workty_instances"].update_many({}, {"$set": {"propertiesIds": [key]}})
    world.core.runs.start(workflow)
    sent, later = (step.instance for step in world.run(workflow).steps)
    for instance in (sent, later):
        newer = {"id": "q", "name": "of a version that the instance got meanwhile", "value": 2}
        properties = [newer, {"id": str(key), "name": "delay", "value": {"a.b": 10**30}}]
        world.core.runs.properties_changed(workflow, ObjectId(instance), properties)
    world.drive(board, "state", "completed")
    assert [found.value for found in world.run(workflow).steps[0].properties] == [1]
    assert board.assignments[0].properties == (m.Property(str(key), "delay", {"a.b": 10**30}),)


# --- crashes


@pytest.mark.parametrize("effects", range(6))
def test_a_crash_between_any_two_effects_costs_time_and_nothing_else(world: World, effects: int) -> None:
    board = world.board(slots=1)
    workflow = world.workflow(2)
    world.crash_after = effects
    try:
        world.core.runs.start(workflow)
        finish(world, board, workflow)
    except Crashed:
        world.beat(6)
        while not world.run(workflow).state.final:
            world.deliver_all()
            for key in list(board.journal):
                world.say(board, key, m.Completed)
            while board.assignments:
                world.take(board)
            world.beat(3)
    world.crash_after = None
    world.beat(6)
    assert world.states(workflow) == ["completed", "completed"]
    assert sorted({change.seq for change in world.changes}) == [1, 2, 3, 4, 5, 6]
    assert world.core.boards.all()[0].leases == ()
    assert world.database["runs"].count_documents({"draining": True}) == 0


def test_a_lease_taken_by_a_process_that_died_is_freed(world: World) -> None:
    board = world.board(slots=1)
    record = world.core.boards.all()[0]
    assert world.core.boards.lease(record, str(ObjectId()), world.now)
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    for _ in range(4):
        world.beat(3)
    assert board.assignments


def test_an_effect_that_cannot_be_carried_out_now_is_carried_out_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = world.board()
    workflow = world.workflow(1)

    def away(_assignment: m.Assignment) -> None:
        raise Unavailable("The message broker")

    with monkeypatch.context() as broker_away:
        broker_away.setattr(world, "assign", away)
        world.core.runs.start(workflow)
    assert board.assignments == []
    world.beat(6)
    assert len(board.assignments) == 1


def test_news_reach_clients_in_order_even_if_another_process_writes_meanwhile(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.take(board)
    world.say(board, world.key(workflow), m.StateReported, state="running")
    tell, interfered = world.step_changed, []

    def interfere(change: object) -> None:
        if not interfered:
            interfered.append(change)
            world.core.runs.stop(workflow, "enough")
        tell(change)  # type: ignore[arg-type]

    world.step_changed = interfere  # type: ignore[assignment, method-assign]
    world.deliver_all()
    assert [change.seq for change in world.changes] == [1, 2, 3]
    assert world.run(workflow).state is RunState.STOPPING
