"""An assignment to begin with, and a journal on disk."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from worker_agent.journal import Journal
from worker_agent.warm import WarmStart
from workties.messages import Assignment, Limits, Program


@pytest.fixture
def assignment() -> Callable[..., Assignment]:
    """Makes assignments; every field may be given."""

    def make(**values: Any) -> Assignment:
        found: dict[str, Any] = {
            "id": "m1",
            "at": "2026-01-01T00:00:00.000Z",
            "board": "board-01",
            "run": "run-1",
            "instance": "instance-1",
            "attempt": 1,
            "seq": 1,
            "workflow": "workflow-1",
            "workty": Program("w1", "tested", "1", "python", "main.py"),
            "package": None,
            "properties": (),
            "checkpoint": None,
            "limits": Limits(),
            **values,
        }
        return Assignment(**found)

    return make


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmStart]:
    """Forks guardians of steps; one for all tests."""
    found = WarmStart()
    yield found
    found.close()


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    """Opens the journal of this test, as often as the board starts."""
    opened: list[Journal] = []

    def begin(**values: Any) -> Journal:
        if opened:
            opened.pop().close()
        opened.append(Journal(tmp_path / "journal.db", "board-01", lambda: "now", lambda: None, **values))
        return opened[0]

    yield begin
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(open_journal: Callable[..., Journal]) -> Journal:
    return open_journal()


@pytest.fixture
def full_disk(tmp_path: Path) -> Callable[[], AbstractContextManager[None]]:
    """Within `full_disk()` the journal of this test cannot grow, as on a disk without room."""

    @contextmanager
    def limited() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (tmp_path / "journal.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
