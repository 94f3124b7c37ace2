"""What the core tells clients live: runs, their output, and changed entities, in the core's own words.

How it gets to them is `api`'s affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
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
    """How far an attempt is, 0 to 1; `seq` is that of the last change of its run.

    `workty_state` is the state of its own that the program has just entered, or in which it has just made a
    `checkpoint`; None if only the progress is new. Clients are told of each such state, and in their order.
    """

    account: str
    workflow: str
    run: str
    seq: int
    instance: str
    state: str
    attempt: int
    progress: float
    message: str
    workty_state: str | None = None
    checkpoint: bool = False


@dataclass(frozen=True, slots=True)
class LogWritten:
    """Lines that an attempt wrote, `{"at", "stream", "text"}` each; `seq` counts the log messages of a run from 1."""

    account: str
    workflow: str
    run: str
    instance: str
    attempt: int
    seq: int
    lines: Sequence[Mapping[str, str]]


class EntityKind(StrEnum):
    """What a client may see change."""

    ACCOUNT = "account"
    WORKFLOW = "workflow"
    WORKTY = "workty"
    BOARD = "board"
    PAYMENT = "payment"
    UI_SETTINGS = "ui settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityChange:
    """An entity was added, changed or deleted. What it is now is read when it is told, so the newest comes last.

    Attributes:
        id: of the entity; for `UI_SETTINGS` that of their workflow.
        owner: the account that it belongs to; None for boards, which belong to the installation.
        asked_by: the account that asked for the change; None if nobody did.
        request_id: with which it named its request, see `Account.request_id`.
        deleted: whether it is gone.
        instance: of a workflow: the instance that was added, changed or deleted.
        instance_deleted: whether that instance is gone.
    """

    kind: EntityKind
    id: str
    owner: str | None
    asked_by: str | None = None
    request_id: str | int | float | None = None
    deleted: bool = False
    instance: str | None = None
    instance_deleted: bool = False


class Audience(Protocol):
    """Whoever is told what happens, e.g. the live clients behind a message queue.

    All methods return quickly. Those about runs may raise `orchestrator.errors.Unavailable` when nothing can be told
    now; changed entities are told as well as possible, and clients that miss one read it again when they reconnect.
    """

    def step_changed(self, change: StepChange) -> None:
        """Tell a change of state."""

    def progressed(self, progress: ProgressMade) -> None:
        """Tell progress; it may be lost."""

    def logged(self, written: LogWritten) -> None:
        """Tell those who follow the run what it wrote."""

    def entity_changed(self, change: EntityChange) -> None:
        """Tell that an entity changed. Never raises."""


class Nobody:
    """An audience for processes that serve no live clients."""

    def step_changed(self, change: StepChange) -> None:
        """Drop the change."""

    def progressed(self, progress: ProgressMade) -> None:
        """Drop the progress."""

    def logged(self, written: LogWritten) -> None:
        """Drop the lines."""

    def entity_changed(self, change: EntityChange) -> None:
        """Drop the change."""


NOBODY = Nobody()
