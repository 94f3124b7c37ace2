"""How often progress is told."""

from __future__ import annotations

from worker_agent.progress import INTERVAL, ProgressGate
from worker_agent.records import Key

ONE, TWO = Key("r", "one", 1), Key("r", "two", 1)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_progress_is_told_at_once_and_the_next_one_later() -> None:
    clock = Clock()
    gate = ProgressGate(clock)
    gate.put(ONE, 0.1, "")
    assert gate.due() == [(ONE, 0.1, "")]
    gate.put(ONE, 0.2, "")
    assert gate.due() == []
    assert gate.next_due() == clock.now + INTERVAL


def test_the_newest_progress_wins() -> None:
    clock = Clock()
    gate = ProgressGate(clock)
    for count in range(100):
        gate.put(ONE, count / 100, str(count))
    assert gate.due() == [(ONE, 0.99, "99")]
    assert gate.due() == []


def test_a_second_has_room_for_five_of_each_step() -> None:
    clock = Clock()
    gate = ProgressGate(clock)
    told = []
    for _ in range(100):
        gate.put(ONE, 0.5, "")
        gate.put(TWO, 0.5, "")
        told += gate.due()
        clock.now += 0.01
    assert [key for key, _, _ in told].count(ONE) == 5
    assert [key for key, _, _ in told].count(TWO) == 5


def test_the_last_progress_is_told_before_the_end() -> None:
    gate = ProgressGate(Clock())
    gate.put(ONE, 0.9, "")
    gate.due()
    gate.put(ONE, 1.0, "done")
    assert gate.last(ONE) == (ONE, 1.0, "done")
    assert gate.last(ONE) is None
    assert gate.next_due() is None
