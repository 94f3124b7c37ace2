"""What is told of a step while the journal cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from worker_agent.broker import Broker
from worker_agent.journal import JOURNAL_WAIT, Journal
from worker_agent.publisher import Publisher
from worker_agent.records import Key, key_of
from worker_agent.reporter import Reporter
from workties.messages import Assignment, Checkpoint, Reason

LARGE = Checkpoint("copying", {"copied": "x" * 200_000})


@pytest.fixture
def key(journal: Journal, assignment: Callable[..., Assignment]) -> Key:
    """An attempt that runs."""
    taken = assignment()
    journal.take(taken, refusal=None, capacity=1)
    journal.begin(key_of(taken))
    return key_of(taken)


def reporter(key: Key, journal: Journal, wait: Callable[[float], bool]) -> Reporter:
    beat: Any = None
    publisher = Publisher("board-01", Broker("memory://"), journal, beat, heartbeat_seconds=3)
    return Reporter(key, journal, publisher, lambda: "now", wait=wait)


def test_a_state_is_stored_when_the_disk_has_room_again(
    journal: Journal, key: Key, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    waits = []
    with ExitStack() as full:
        full.enter_context(full_disk())

        def wait(seconds: float) -> bool:
            waits.append(seconds)
            if len(waits) == 2:
                full.close()
            return False

        told = reporter(key, journal, wait)
        told.line("stdout", "before it")
        told.state(LARGE)
    assert waits == [JOURNAL_WAIT] * 2
    assert journal.checkpoint(key) == LARGE
    assert [event.kind for event in journal.unsent()[0]] == ["accepted", "state", "log", "state"]


def test_a_step_that_is_to_end_does_not_wait_for_room(
    journal: Journal, key: Key, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    with full_disk():
        reporter(key, journal, lambda seconds: True).state(LARGE)
    assert journal.checkpoint(key) is None


def test_how_a_step_ended_is_returned_for_the_log(journal: Journal, key: Key) -> None:
    told = reporter(key, journal, lambda seconds: False)
    assert told.interrupt(Reason("stopped", "a client asked")) == "interrupted (stopped)"
    assert told.fail("package", "It cannot be fetched") == "failed (package)"
