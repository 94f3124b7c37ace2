"""What a run that is under way survives: a full disk and a slow one on its board, and a stalled database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

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


@pytest.fixture(scope="module")
def journal(private: PrivateStack) -> Iterator[Path]:
    """The journal of a board on the disk of all."""
    with private.boards("slow", {"name": "slow"}):
        yield private.stack.state_of("slow") / "journal.db"


def test_a_step_that_changes_its_state_survives_a_full_disk(private: PrivateStack, disk: SmallDisk) -> None:
    assert_survived(private, "disk", partial(FullDisk, BOARD, disk))


def test_a_step_that_changes_its_state_survives_a_slow_disk(private: PrivateStack, journal: Path) -> None:
    assert_survived(private, "slow", partial(SlowDisk, "slow", journal))
    assert "database is locked" in private.stack.processes["slow"].tail(), "the agent noticed it"


@pytest.mark.usefixtures("journal")
def test_a_step_that_changes_its_state_survives_a_stalled_database(private: PrivateStack) -> None:
    assert_survived(private, "slow", partial(StalledDatabase, private.mongod))


def assert_survived(private: PrivateStack, label: str, fault: partial[Any]) -> None:
    """A step enters its last state when the fault has begun, and all the same everything happens once."""
    with private.steps(label, fault.func.__name__) as steps, ThreadPoolExecutor(1) as pool:
        steps.begin("one")
        steps.until_holding()
        struck = Event()

        def pause(seconds: float) -> None:
            struck.set()
            time.sleep(seconds)

        strike = pool.submit(fault(pause=pause).strike, Long())
        struck.wait(60)
        steps.ledger.release()
        print(strike.result())
        steps.until_completed()
        steps.assert_ran_once()
