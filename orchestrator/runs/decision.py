"""What a decision about a run holds: effects to carry out, and signals that may be lost. Frozen data, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.runs.vocabulary import Run


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send the assignment of an attempt to a board."""

    board: str
    instance: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Instruct:
    """Tell a board to stop, pause or forget an attempt."""

    board: str
    instance: str
    attempt: int
    command: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseSlot:
    """Give the slot of a board back, and let the next waiting run have it."""

    board: str


@dataclass(frozen=True, slots=True)
class NoteLeaving:
    """A board said that its agent stops: it gets nothing more until it is heard again."""

    board: str


@dataclass(frozen=True, slots=True)
class SeekSlot:
    """Try to lease a slot for whoever waits."""


@dataclass(frozen=True, slots=True)
class LinkWorkflow:
    """Make this run the latest one of its workflow."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell live clients about a change of state, with all values as they were right after it.

    Attributes:
        seq: number of the change in its run, from 1 without gaps.
        run_state: state of the run after the change.
        step: the step after the change, as `orchestrator.runs.documents.step_view` makes it: plain data.
        completed: whether this was the last step of a run that completed.
    """

    seq: int
    run_state: str
    step: Mapping[str, Any]
    completed: bool = False
    started: datetime | None = None
    finished: datetime | None = None


@dataclass(frozen=True, slots=True)
class TellState:
    """Tell live clients of a state of the program's own, or a checkpoint in it: of each one, in its order."""

    seq: int
    instance: str
    state: str
    attempt: int
    progress: float
    workty_state: str
    checkpoint: bool


Effect = Dispatch | Instruct | NoteLeaving | ReleaseSlot | SeekSlot | LinkWorkflow | Announce | TellState


@dataclass(frozen=True, slots=True)
class StepProgress:
    """A signal to live clients that may be lost: how far an attempt is, 0 to 1."""

    seq: int
    instance: str
    state: str
    attempt: int
    progress: float
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What an event makes of a run: the run afterwards, effects to carry out in order, and signals that may be lost."""

    run: Run
    effects: tuple[Effect, ...] = ()
    signals: tuple[StepProgress, ...] = ()
