"""What the home of a step holds, looked at from time to time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker_agent.room import INTERVAL, Room, held


class Clock:
    """Seconds as the test says."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that holds 40,000 bytes in two places."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(os.urandom(20_000))
    (tmp_path / "file").write_bytes(os.urandom(20_000))
    return tmp_path


def test_everything_below_is_counted_and_no_link_is_followed(home: Path) -> None:
    (home / "link").symlink_to("/usr")
    assert 40_000 <= held(home, 10**9) < 100_000


def test_it_is_looked_at_only_when_it_is_time_to(home: Path) -> None:
    clock = Clock()
    room = Room(home, 30_000, clock)
    assert not room.is_exceeded()
    clock.now = room.next_look
    assert room.is_exceeded()
    assert room.next_look >= clock.now + INTERVAL


def test_a_home_within_its_limit_is_fine(home: Path) -> None:
    clock = Clock()
    room = Room(home, 200_000, clock)
    clock.now = room.next_look
    assert not room.is_exceeded()


def test_what_vanishes_or_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    assert held(tmp_path / "gone", 10) == 0
