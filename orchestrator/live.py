"""What the core tells clients live: changes of runs, in the core's own words. How it gets to them is `api`'s affair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class StepChange:
    """A change of state of a step or its run, with all values as they were right after it.

    `step` is plain data (`orchestrator.runs.documents.step_view`); `completed` marks the last change of a completed
    run; `seq` counts the changes of a run from 1 without gaps.
    """

    account: str
    workflow: str
    name: str
    desc: str
    run: str
    seq: int
    run_state: str
    started: datetime | None
    finished: datetime | None
    step: Mapping[str, Any]
    completed: bool


@dataclass(frozen=True, slots=True)
class ProgressMade:
    """How far an attempt is, 0 to 1; `seq` is that of the last change of its run."""

    account: str
    workflow: str
    run: str
    seq: int
    instance: str
    state: str
    attempt: int
    progress: float
    message: str


class Audience(Protocol):
    """Whoever is told what happens, e.g. the live clients behind a message queue.

    Both methods return quickly and may raise `orchestrator.errors.Unavailable` when nothing can be told now.
    """

    def step_changed(self, change: StepChange) -> None:
        """Tell a change of state."""

    def progressed(self, progress: ProgressMade) -> None:
        """Tell progress; it may be lost."""


class Nobody:
    """An audience for processes that serve no live clients."""

    def step_changed(self, change: StepChange) -> None:
        """Drop the change."""

    def progressed(self, progress: ProgressMade) -> None:
        """Drop the progress."""
