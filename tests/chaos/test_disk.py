"""What a run that is under way survives: a full disk and a slow one on its board, and a stalled database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event

import pytest

from tests.chaos.disk import FullDisk, SlowDisk, SmallDisk, StalledDatabase
from tests.chaos.private import PrivateStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

BOARD = "small"
#: Bytes of the workty's package.
PACKAGE = 2_000_000


class Long(Random):
    """Chooses rather long times; longer than a write waits for the journal's lock."""

    def random(self) -> float:
        """Not far from the upper end."""
        return 0.75


@pytest.fixture(scope="module")
def disk(private: PrivateStack) -> Iterator[SmallDisk]:
    """The disk of a board with two slots."""
    disk = SmallDisk(private.stack.state_of(BOARD), private.directory)
    with private.boards("disk", {"name": BOARD, "slots": 2, "wrapper": disk.wrapper}, size=PACKAGE):
        yield disk
    disk.end()


def test_with_a_full_disk_nothing_is_taken_or_lost_and_all_goes_on_when_there_is_room(
    private: PrivateStack, disk: SmallDisk
) -> None:
    agent = private.stack.processes[BOARD]
    with private.steps("disk", "full") as steps:
        steps.begin("before")
        steps.until_holding()
        disk.fill()
        steps.ledger.release()
        steps.begin("while-full")
        steps.until(lambda: agent.tail(100).count("cannot be used") >= 3, "the agent to complain")
        assert (steps.count(state="running"), steps.count(state="waiting")) == (1, 1)
        disk.free()
        steps.until_completed()
        steps.assert_ran_once()
    assert agent.alive


def test_a_step_for_whose_files_there_is_no_room_begins_when_there_is(private: PrivateStack, disk: SmallDisk) -> None:
    agent = private.stack.processes[BOARD]
    with private.steps("disk", "no-room") as steps:
        disk.fill(room=PACKAGE // 2)
        steps.begin("no-room")
        steps.until(lambda: "no room for its files" in agent.tail(), "the agent to complain")
        disk.free()
        steps.ledger.release()
        steps.until_completed()
        steps.assert_ran_once()


@pytest.mark.parametrize("kind", [FullDisk, SlowDisk, StalledDatabase])
def test_a_run_survives_trouble_with_disks_while_its_steps_change_their_state(
    private: PrivateStack, disk: SmallDisk, kind: type
) -> None:
    faults = {
        FullDisk: lambda pause: FullDisk(BOARD, disk, pause),
        SlowDisk: lambda pause: SlowDisk(BOARD, disk.path / "journal.db", pause),
        StalledDatabase: lambda pause: StalledDatabase(private.mongod, pause),
    }
    with private.steps("disk", kind.__name__) as steps, ThreadPoolExecutor(1) as pool:
        steps.begin("one")
        steps.until_holding()
        struck = Event()

        def pause(seconds: float) -> None:
            struck.set()
            time.sleep(seconds)

        strike = pool.submit(faults[kind](pause).strike, Long())
        struck.wait(60)
        steps.ledger.release()
        print(strike.result())
        steps.until_completed()
        steps.assert_ran_once()
