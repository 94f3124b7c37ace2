"""The slots of a board, whose steps wait here for a package that nobody serves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import waiting
from worker_agent.broker import Broker
from worker_agent.isolation import Isolation
from worker_agent.journal import Journal
from worker_agent.orders import Stop
from worker_agent.packages import Packages
from worker_agent.publisher import Publisher
from worker_agent.records import key_of
from worker_agent.runner import Runner
from worker_agent.settings import IsolationSettings
from worker_agent.warm import WarmStart
from workties.messages import Assignment, Heartbeat, Package, Reason

NOBODY = "http://127.0.0.1:1"


def no_heartbeat() -> Heartbeat:
    raise AssertionError("the publisher does not run here")


@pytest.fixture
def runner(journal: Journal, warm: WarmStart, tmp_path: Path) -> Iterator[Runner]:
    plain = IsolationSettings(sandbox="none", step_account=os.getuid())
    isolation = Isolation(plain, 1, tmp_path / "steps", warm)
    publisher = Publisher("board-01", Broker("memory://"), journal, no_heartbeat, heartbeat_seconds=3.0)
    found = Runner(
        tmp_path / "steps",
        1,
        journal=journal,
        publisher=publisher,
        packages=Packages(tmp_path / "cache", NOBODY, 0),
        isolation=isolation,
        runtimes={"python": "python3"},
        now=lambda: "now",
    )
    yield found
    found.shutdown(0.0)
    isolation.close()


def test_an_attempt_that_began_as_soon_as_it_was_taken_does_not_take_its_own_place(
    runner: Runner, journal: Journal, assignment: Callable[..., Assignment]
) -> None:
    taken = assignment(package=Package("a" * 64, 1, f"{NOBODY}/a", "2100-01-01"))
    journal.take(taken, refusal=None, capacity=2)
    runner.fill()  # as the end of another step does
    runner.supersede(key_of(taken))
    runner.stop(key_of(taken), Stop(Reason("stopped", "asked for"), 0.0))
    final = waiting.until(
        lambda: [event.body for event in journal.unsent()[0] if event.kind == "interrupted"],
        seconds=30,
        what="the attempt to end",
    )
    assert json.loads(final[0])["reason"]["message"] == "asked for"
