"""What live clients are told of boards: every change of state at once, other heartbeats once in ten seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.boards.slots import SlotAllocator
from orchestrator.boards.store import BoardStore
from orchestrator.core import build_core
from orchestrator.embedded import embedded_database
from orchestrator.live import EntityChange, EntityKind
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.world import BoardModel, World, finish
from workties import messages as m


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def board(world: World) -> BoardModel:
    """A board that has connected; what was told of it is forgotten."""
    board = world.board()
    assert told(world) == [board.id]
    return board


def told(world: World) -> list[str]:
    """The boards that were told since the last call."""
    found = [change.id for change in world.entities if change.kind is EntityKind.BOARD]
    world.entities.clear()
    return found


def beats(world: World, board: BoardModel, seconds: float) -> None:
    """A heartbeat, some time after the last."""
    world.now += timedelta(seconds=seconds)
    world.heartbeat(board)


def test_a_board_that_connects_is_told_as_nobodys(world: World) -> None:
    board = world.board()
    assert world.entities == [EntityChange(kind=EntityKind.BOARD, id=board.id, owner=None)]


def test_heartbeats_without_a_change_are_told_once_in_ten_seconds(world: World, board: BoardModel) -> None:
    counts = []
    for _ in range(8):
        beats(world, board, 3)
        counts.append(len(told(world)))
    assert counts == [0, 0, 0, 1, 0, 0, 0, 1]


def test_ten_seconds_after_the_last_one_a_heartbeat_is_told(world: World, board: BoardModel) -> None:
    beats(world, board, 9.999)
    assert told(world) == []
    beats(world, board, 0.001)
    assert told(world) == [board.id]


def test_several_orchestrators_tell_no_more_than_one_does(world: World, board: BoardModel) -> None:
    other = build_core(world.database, world, world, world.link, clock=world.clock)
    for turn in range(10):
        world.now += timedelta(seconds=1)
        core = other if turn % 2 else world.core
        core.fleet.heard(m.Heartbeat(**world.vitals(board)))
    assert told(world) == [board.id]


def test_each_board_has_seconds_of_its_own(world: World, board: BoardModel) -> None:
    world.now += timedelta(seconds=5)
    other = world.board()
    assert told(world) == [other.id]
    for expected in ([board.id], [other.id]):
        world.now += timedelta(seconds=5)
        world.heartbeat(board)
        world.heartbeat(other)
        assert told(world) == expected


def test_what_people_see_of_a_heartbeat_is_told_at_once(world: World, board: BoardModel) -> None:
    board.slots = 3
    beats(world, board, 1)
    assert told(world) == [board.id]
    beats(world, board, 1)
    assert told(world) == []


def test_load_and_temperature_wait_for_their_turn(world: World, board: BoardModel) -> None:
    world.core.fleet.heard(m.Heartbeat(**world.vitals(board), load=3.5, temperature=70.0))
    assert told(world) == []


def test_a_late_heartbeat_is_not_told(world: World, board: BoardModel) -> None:
    late = m.Heartbeat(**world.vitals(board))
    beats(world, board, 10)
    told(world)
    world.now += timedelta(seconds=10)
    world.core.fleet.heard(late)
    assert told(world) == []


def says_bye(world: World, board: BoardModel) -> None:
    world.core.fleet.heard(world.bye(board))


def is_silent(world: World, board: BoardModel) -> None:
    world.sweep(10)


def its_agent_stops(world: World, board: BoardModel) -> None:
    world.core.runs.start(world.workflow())
    world.drive(board, "state")
    told(world)
    [key] = board.journal
    world.say(board, key, m.Interrupted, reason=m.Reason("agent-stop", "SIGTERM"))
    world.deliver_all()


@pytest.mark.parametrize("leaves", [says_bye, is_silent, its_agent_stops])
def test_a_board_that_leaves_and_comes_back_is_told_at_once(
    world: World, board: BoardModel, leaves: Callable[[World, BoardModel], None]
) -> None:
    leaves(world, board)
    assert set(told(world)) == {board.id}
    assert world.core.boards.all()[0].state == "disconnected"
    beats(world, board, 1)
    assert board.id in told(world)


def test_silence_is_told_once(world: World, board: BoardModel) -> None:
    world.sweep(10)
    world.sweep(10)
    assert told(world) == [board.id]


def test_a_bye_of_an_earlier_life_is_not_told(world: World, board: BoardModel) -> None:
    bye = world.bye(board)
    world.reboot(board)
    told(world)
    world.core.fleet.heard(bye)
    assert told(world) == []


def test_every_lease_and_release_is_told(world: World, board: BoardModel) -> None:
    states = []
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    states.append((told(world), world.core.boards.all()[0].state))
    finish(world, board, workflow)
    states.append((told(world), world.core.boards.all()[0].state))
    assert states == [([board.id], "running"), ([board.id], "waiting")]
    assert world.run(workflow).state is RunState.COMPLETED


def test_a_slot_that_is_given_back_twice_is_told_once(world: World, board: BoardModel) -> None:
    slots = SlotAllocator(world.core.boards, world.store, world.core.engine.handle, world.clock, world)
    world.core.runs.start(world.workflow(1))
    run = world.core.boards.all()[0].leases[0].run
    told(world)
    slots.release(board.id, run)
    slots.release(board.id, run)
    assert told(world) == [board.id]


def test_a_board_that_leaves_twice_is_told_once(world: World, board: BoardModel) -> None:
    slots = SlotAllocator(world.core.boards, world.store, world.core.engine.handle, world.clock, world)
    slots.note_leaving(board.id)
    slots.note_leaving(board.id)
    assert told(world) == [board.id]


def test_of_two_that_note_heartbeats_at_the_same_time_one_tells() -> None:
    meanwhile: list[Callable[[], object]] = []

    def observed(collection: str, operation: str) -> None:
        if (collection, operation) == ("devices", "update_one") and meanwhile:
            meanwhile.pop()()

    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = BoardStore(embedded_database(observe=observed))
    board = store.add("kitchen", now)
    vitals = {"id": "h", "at": "", "board": board.id, "boot": "b", "active": (), "slots": 1, "runtimes": ()}

    def heard(seq: int, seconds: int) -> bool:
        noted = store.heard(m.Heartbeat(seq=seq, **vitals), now + timedelta(seconds=seconds))  # type: ignore[arg-type]
        return noted is not None and noted.news

    assert heard(1, 0)
    news = []
    meanwhile.append(lambda: news.append(heard(3, 11)))
    news.append(heard(2, 10))
    assert news == [True, False]
