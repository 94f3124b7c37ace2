"""Runs, from command to final state, through the engine's public doors; boards are played by the tests."""

from __future__ import annotations

import pytest
from bson import ObjectId

from orchestrator.errors import NotFound, StateForbids, Unavailable, WorkflowEmpty
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.world import BoardModel, Crashed, World, forged
from workties import messages as m


@pytest.fixture
def world() -> World:
    return World()


def finish(world: World, board: BoardModel, workflow: ObjectId) -> None:
    while not world.run(workflow).state.final:
        world.drive(board, "state", "completed")


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
    assert (reason.code, reason.message) == ("no-board", "No connected and enabled board has what it needs: java")


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


# --- pause, resume, stop


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


def test_an_assignment_without_an_answer_is_sent_again_as_the_same_attempt(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.beat(9)
    assert len(board.assignments) == 1
    world.beat(2)
    assert [assignment.attempt for assignment in board.assignments] == [1, 1]


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
    world.core.runs.start(workflow)
    sent, later = (step.instance for step in world.run(workflow).steps)
    for instance in (sent, later):
        properties = [{"id": "p", "name": "delay", "value": {"a.b": 10**30}}]
        world.core.runs.properties_changed(workflow, ObjectId(instance), properties)
    world.drive(board, "state", "completed")
    assert world.run(workflow).steps[0].properties == ()
    assert board.assignments[0].properties == (m.Property("p", "delay", {"a.b": 10**30}),)


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
