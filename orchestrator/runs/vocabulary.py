"""The words of the run engine: states, runs and steps, events. Frozen data and nothing else.

A run is one workflow under way; a step is one of its instances; an attempt is one dispatch of a step to a board. Events
go into `decide`, a `decision` comes out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.runs.sightings import (
    AnswerOverdue,
    AttemptListed,
    AttemptMissing,
    BoardBack,
    BoardLeft,
    BoardLost,
)
from workties.manifest import DeclaredProperty, Recovery
from workties.messages import Access, Checkpoint, Limits, Program, Property, StepEvent
from workties.policy import Policy


class StepState(StrEnum):
    """States of a step (live API contract, section 5)."""

    INITIAL = "initial"
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    PAUSED = "paused"
    STOPPED = "stopped"

    @property
    def final(self) -> bool:
        """Whether nothing changes any more in this run."""
        return self in {StepState.COMPLETED, StepState.FAILED, StepState.STOPPED}


class RunState(StrEnum):
    """States of a run (live API contract, section 5); they follow from the current step and what is wanted."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def final(self) -> bool:
        """Whether nothing changes any more."""
        return self in {RunState.COMPLETED, RunState.FAILED, RunState.STOPPED}


class Wanted(StrEnum):
    """What the owner of a run wants of it: to go on, to pause, to stop; or to fail, because its deadline has passed."""

    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"
    FAIL = "fail"

    @property
    def ends(self) -> bool:
        """Whether the run shall end as soon as its board confirms it."""
        return self in {Wanted.STOP, Wanted.FAIL}


# --- runs


@dataclass(frozen=True, slots=True)
class StepReason:
    """Why a step waits, failed or was stopped: a stable code, a sentence, and for a failure how the program ended."""

    code: str
    message: str
    return_code: int | None = None
    last_output: tuple[str, ...] = ()


#: What a run waits for that some board fits.
NO_SLOT = StepReason("no-slot", "Waits for a free slot on a board that fits")


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """Digest and size (bytes) of the code of a step."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class BoardRef:
    """A board by its id, with the name that people gave it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run.

    `attempt` numbers the last dispatch (0 = never sent), which went to `board`; without a board it is the number that
    the next one gets, because the one before was cut short. While `dispatched` is set, that attempt is with a board.
    `seq` is the last event of it that was applied, `asked` is when the board was last told to stop or pause it, or
    asked what became of it, and `unanswered` counts how often it was sent in vain. `stops` counts agents that stopped
    soon after they took the step. `failures` counts attempts that failed and were, or will be at `retry_at`, followed
    by another one. `former` are names that it had before in this run, `declared` the properties that its workty
    declares, `workty_state` the program's own state, `checkpointed` when `checkpoint` came.
    """

    instance: str
    name: str
    desc: str
    program: Program
    package: StoredPackage | None
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)
    recovery: Recovery = field(default_factory=Recovery)
    policy: Policy = field(default_factory=Policy)
    labels: tuple[str, ...] = ()
    declared: tuple[DeclaredProperty, ...] = ()
    properties: tuple[Property, ...] = ()
    former: tuple[str, ...] = ()
    state: StepState = StepState.INITIAL
    attempt: int = 0
    seq: int = 0
    board: BoardRef | None = None
    dispatched: datetime | None = None
    accepted: datetime | None = None
    asked: datetime | None = None
    failures: int = 0
    retry_at: datetime | None = None
    unanswered: int = 0
    stops: int = 0
    checkpoint: Checkpoint | None = None
    checkpointed: datetime | None = None
    workty_state: str | None = None
    progress: float | None = None
    output: Mapping[str, Any] | None = None
    reason: StepReason | None = None
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether an attempt is with a board."""
        return self.dispatched is not None

    @property
    def label(self) -> str:
        """Its name, or that of its workty, by which later steps may refer to it."""
        return self.name or self.program.name

    @property
    def next_attempt(self) -> int:
        """The number of the next dispatch."""
        return self.attempt if self.board is None and self.attempt > 0 else self.attempt + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a workflow.

    `failed` is the index of the step for which it fails: once that is known, only steps that clean up may follow.
    `seq` counts announced changes of state, `losses` counts boards and restarts that cost it an attempt. While
    `queued`, the run waits for a slot, in the order of `ticket` and then `waiting_since`. At `deadline` it fails.
    `trace` is the trace of the request that began it (`workties.tracing`).
    """

    id: str
    workflow: str
    workflow_name: str
    workflow_desc: str
    account: str
    number: int
    steps: tuple[Step, ...]
    created: datetime
    state: RunState = RunState.WAITING
    wanted: Wanted = Wanted.RUN
    seq: int = 0
    current: int = 0
    failed: int | None = None
    board: BoardRef | None = None
    queued: bool = False
    ticket: int = 0
    waiting_since: datetime | None = None
    losses: int = 0
    deadline: datetime | None = None
    trace: str | None = None
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def step(self) -> Step:
        """The current step: the one whose turn it is, or that was the last one."""
        return self.steps[self.current]

    @property
    def due(self) -> datetime | None:
        """When something follows from the time alone: a step is tried again, or the deadline passes."""
        deadline = None if self.wanted.ends else self.deadline
        moments = [moment for moment in (self.step.retry_at, deadline) if moment is not None]
        return min(moments) if moments and not self.state.final else None

    @property
    def awaits_board(self) -> bool:
        """Whether its step waits for the board that has the slot, and is away, to come back."""
        return self.board is not None and self.step.state is StepState.WAITING and not self.step.active

    @property
    def languages(self) -> frozenset[str]:
        """Runtimes that a board must have."""
        return frozenset(step.program.language for step in self.steps)

    @property
    def labels(self) -> frozenset[str]:
        """Labels that a board must have."""
        return frozenset(label for step in self.steps for label in step.labels)


# --- events


@dataclass(frozen=True, slots=True)
class ResumeWanted:
    """Its owner wants the run to go on; `ticket` is its place in the queue if it has to wait for a slot again.

    `only_paused`: whether that is refused where nothing is paused. `waits_for`: what it says until it gets a slot.
    """

    ticket: int
    only_paused: bool = False
    waits_for: StepReason = NO_SLOT


@dataclass(frozen=True, slots=True)
class PauseWanted:
    """Its owner wants the run to pause at the next checkpoint."""


@dataclass(frozen=True, slots=True)
class StopWanted:
    """The run shall end now; `reason` says why, for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class SlotGranted:
    """A slot of `board` has been leased for the run."""

    board: BoardRef


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """No slot could be leased; `reason` says what is missing."""

    reason: StepReason


@dataclass(frozen=True, slots=True)
class PropertiesChanged:
    """The owner changed properties of an instance; they count if it has not been sent yet."""

    instance: str
    properties: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class InstanceRenamed:
    """The owner changed name or description of an instance; its step is told of by them from now on."""

    instance: str
    name: str
    desc: str


@dataclass(frozen=True, slots=True)
class TimerDue:
    """The moment has come that the run said was `due`."""


Command = ResumeWanted | PauseWanted | StopWanted
FoundOut = (
    SlotGranted
    | StillWaiting
    | BoardLost
    | BoardLeft
    | BoardBack
    | AttemptMissing
    | AttemptListed
    | AnswerOverdue
    | TimerDue
)
RunEvent = Command | FoundOut | PropertiesChanged | InstanceRenamed | StepEvent
