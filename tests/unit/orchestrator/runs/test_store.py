"""Compare-and-set, leases and the queue: what must hold when two do the same thing at the same time."""

from __future__ import annotations

from dataclasses import replace

from bson import ObjectId

from orchestrator.runs.decide import decide
from orchestrator.runs.decision import ReleaseSlot
from orchestrator.runs.effects import Effects
from orchestrator.runs.store import Stored
from orchestrator.runs.vocabulary import BoardRef, PauseWanted, SlotGranted, StopWanted
from tests.unit.orchestrator.runs.world import World, finish
from workties import messages as m


def loaded(world: World, workflow: ObjectId) -> Stored:
    stored = world.store.latest(str(workflow))
    assert stored is not None
    return stored


def test_of_two_who_decide_on_the_same_run_only_the_first_writes(world: World) -> None:
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    first = second = loaded(world, workflow)
    assert world.store.save(first, decide(first.run, PauseWanted(), world.now), "one", world.now) is not None
    assert world.store.save(second, decide(second.run, StopWanted("x"), world.now), "two", world.now) is None
    assert world.states(workflow) == ["paused"]


def test_of_two_writes_without_effects_only_the_first_counts_either(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.take(board)
    [accepted] = world.events
    assert isinstance(accepted, m.Accepted)
    first = second = loaded(world, workflow)
    assert world.store.save(first, decide(first.run, accepted, world.now), "one", world.now) is not None
    assert world.store.save(second, decide(second.run, accepted, world.now), "two", world.now) is None


def test_who_relied_on_a_drainer_that_has_finished_meanwhile_has_to_look_again(world: World) -> None:
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    before = loaded(world, workflow)
    draining = world.store.save(before, decide(before.run, PauseWanted(), world.now), "drainer", world.now)
    assert draining is not None
    late = loaded(world, workflow)
    assert world.store.drained(draining, "drainer") is None
    decision = decide(late.run, StopWanted("x"), world.now)
    assert world.store.save(late, decision, "late", world.now) is None, "nobody would carry out its effects"


def test_a_slot_cannot_be_leased_twice_by_two_who_saw_it_free(world: World) -> None:
    world.board(slots=1)
    [record] = world.core.boards.all()
    assert world.core.boards.lease(record, "a run", world.now)
    assert not world.core.boards.lease(record, "another run", world.now)


def test_a_run_that_was_granted_two_slots_gives_the_second_back(world: World) -> None:
    world.board(slots=1)
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    other = world.board(slots=1)
    run = world.run(workflow)
    record = next(board for board in world.core.boards.all() if board.id == other.id)
    assert world.core.boards.lease(record, run.id, world.now)
    world.core.engine.handle(run.id, [SlotGranted(BoardRef(other.id, "other"))])
    assert world.run(workflow).board == run.board
    assert {board.id: len(board.leases) for board in world.core.boards.all()}[other.id] == 0


def test_a_slot_that_the_run_has_leased_again_is_not_given_back_by_an_effect_carried_out_twice(world: World) -> None:
    board = world.board(slots=1)
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    slots: list[str] = []

    class Slots:
        def release(self, board_id: str, _run_id: str) -> None:
            slots.append(board_id)

    effects = Effects(
        database=world.database,
        runs=world.store,
        boards=world,
        slots=Slots(),  # type: ignore[arg-type]
        audience=world,
        links=world.link,
        clock=world.clock,
    )
    run = world.run(workflow)
    effects.carry_out(run, ReleaseSlot(board.id))
    assert slots == []
    effects.carry_out(replace(run, board=None), ReleaseSlot(board.id))
    assert slots == [board.id]


def test_an_old_heartbeat_that_comes_late_changes_nothing(world: World) -> None:
    board = world.board(slots=3)
    old = m.Heartbeat(**world.vitals(board) | {"slots": 1})
    world.heartbeat(board)
    world.core.fleet.heard(old)
    assert world.core.boards.all()[0].slots == 3


def test_a_heartbeat_of_an_earlier_start_of_the_agent_that_comes_late_changes_nothing(world: World) -> None:
    board = world.board(slots=3)
    old = m.Heartbeat(**world.vitals(board) | {"slots": 1})
    board.boot += 1
    world.heartbeat(board)
    assert world.core.boards.disconnected(board.id, world.now)
    world.core.fleet.heard(old)
    assert (world.core.boards.all()[0].slots, world.core.boards.all()[0].connected) == (3, False)


def test_a_heartbeat_that_comes_after_the_bye_that_followed_it_changes_nothing(world: World) -> None:
    board = world.board(slots=3)
    late = m.Heartbeat(**world.vitals(board))
    world.core.fleet.heard(world.bye(board))
    world.core.fleet.heard(late)
    assert not world.core.boards.all()[0].connected


def test_an_account_that_comes_new_does_not_overtake_all_who_came_before(world: World) -> None:
    board = world.board(slots=1)
    busy, new = "0" * 23 + "2", "0" * 23 + "3"
    for _ in range(4):
        world.core.runs.start(world.workflow(1, account=busy))
        world.drive(board, "completed")
    world.core.runs.start(world.workflow(1, account=busy))
    waiting = world.workflow(1, account=busy)
    world.core.runs.start(waiting)
    for _ in range(4):
        world.core.runs.start(world.workflow(1, account=new))
    for _ in range(3):
        world.drive(board, "completed")
    assert world.run(waiting).board is not None or world.run(waiting).state.final


def test_a_run_that_was_stored_before_there_were_policies_goes_on(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2)
    world.core.runs.start(workflow)
    steps = [f"steps.{index}.{name}" for index in range(2) for name in ("policy", "failures", "retryAt")]
    newer = dict.fromkeys(("deadline", "due", "timed", "failed", *steps), "")
    world.database["runs"].update_many({}, {"$unset": newer})
    world.beat()
    finish(world, board, workflow)
    assert world.states(workflow) == ["completed", "completed"]
