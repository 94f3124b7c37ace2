"""Carries effects out: messages to boards, news to live clients, slots given back and sought. Every one is idempotent.

What an effect needs is looked up in the run as it is when the effect is carried out; an effect that the run has moved
past does nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from bson import ObjectId
from pymongo.database import Database

from orchestrator.live import Audience, ProgressMade, StepChange
from orchestrator.runs.decision import (
    Announce,
    Dispatch,
    Effect,
    Instruct,
    LinkWorkflow,
    NoteLeaving,
    ReleaseSlot,
    SeekSlot,
    StepProgress,
    TellState,
)
from orchestrator.runs.documents import moment_text
from orchestrator.runs.references import assigned_properties
from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import Run, StoredPackage, Wanted
from workties import messages
from workties.errors import BadProperties
from workties.process_log import about
from workties.tracing import NO_TRACING, Tracing

log = logging.getLogger(__name__)


class Boards(Protocol):
    """The way down to boards. Both methods return once the broker has the message, and raise `Unavailable` if not."""

    def assign(self, assignment: messages.Assignment) -> None:
        """Send an assignment to its board's queue."""

    def control(self, control: messages.Control) -> None:
        """Send a stop, pause or forget to its board's control queue."""


class Slots(Protocol):
    """The slots of all boards."""

    def release(self, board_id: str, run_id: str) -> None:
        """Give back what a run has leased, and let the next one have it."""

    def note_leaving(self, board_id: str) -> None:
        """Lease nothing of a board until it is heard again."""

    def fill(self) -> frozenset[str]:
        """Lease free slots to waiting runs, in their order; returns the ids of those that got one."""

    def explain(self, run: Run) -> None:
        """Have a run that still waits say what it waits for."""


Links = Callable[[StoredPackage], messages.Package]


class Effects:
    """Carries effects out over the given edges.

    Args:
        database: where workflows are told which run is their latest.
        runs: the other runs of the workflow.
        boards: the way down to boards.
        slots: the slots of all boards.
        audience: live clients.
        links: makes a signed, short-lived link for a stored package.
        clock: the moment, UTC.
        tracing: records what is sent to boards.
    """

    def __init__(
        self,
        *,
        database: Database[dict[str, Any]],
        runs: RunStore,
        boards: Boards,
        slots: Slots,
        audience: Audience,
        links: Links,
        clock: Callable[[], datetime],
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._tracing = tracing
        self._workflows = database["workflows"]
        self._runs = runs
        self._boards = boards
        self._slots = slots
        self._audience = audience
        self._links = links
        self._clock = clock

    def carry_out(self, run: Run, effect: Effect) -> None:
        """Carry out one effect of `run`. Raises `Unavailable` when broker or database are away."""
        match effect:
            case Dispatch():
                ids = {"board": effect.board, "step": effect.instance, "attempt": effect.attempt}
                with about(**ids), self._tracing.span("dispatch", run.trace, run=run.id, **ids):
                    self._dispatch(run, effect)
            case Instruct():
                self._order(run, effect)
            case Announce() | TellState():
                self._tell(run, effect)
            case ReleaseSlot(board):
                if run.board is None or run.board.id != board:  # else: carried out before, and leased again since
                    self._slots.release(board, run.id)
            case NoteLeaving(board):
                self._slots.note_leaving(board)
            case SeekSlot():
                if run.id not in self._slots.fill():
                    self._slots.explain(run)
            case LinkWorkflow():
                self._link(run)

    def instruct(self, run_id: str, effect: Instruct) -> None:
        """Tell a board to stop, pause or forget an attempt."""
        number = {"pause": 2, "stop": 3, "forget": 4}[effect.command]
        self._boards.control(
            messages.Control(
                id=f"{run_id}.{effect.instance}.{effect.attempt}.{effect.command}",
                at=moment_text(self._clock()),
                board=effect.board,
                run=run_id,
                instance=effect.instance,
                attempt=effect.attempt,
                seq=number,
                command=effect.command,
                reason=effect.reason,
            )
        )

    def signal(self, run: Run, progress: StepProgress) -> None:
        """Tell live clients about progress."""
        self._audience.progressed(progress_made(run, progress))

    def _order(self, run: Run, effect: Instruct) -> None:
        # A pause that nobody wants any more would still end the attempt at its next checkpoint.
        if effect.command != "pause" or run.wanted is Wanted.PAUSE:
            with about(board=effect.board, step=effect.instance, attempt=effect.attempt):
                self.instruct(run.id, effect)

    def _tell(self, run: Run, told: Announce | TellState) -> None:
        if isinstance(told, Announce):
            self._audience.step_changed(step_change(run, told))
            return
        # Progress is told beside the outbox and may be further by now; it must not seem to fall.
        step = run.step
        same = (step.instance, step.attempt) == (told.instance, told.attempt)
        progress = max(told.progress, step.progress or 0.0) if same else told.progress
        found = StepProgress(told.seq, told.instance, told.state, told.attempt, progress, "")
        made = replace(progress_made(run, found), workty_state=told.workty_state, checkpoint=told.checkpoint)
        self._audience.progressed(made)

    def _dispatch(self, run: Run, effect: Dispatch) -> None:
        step = run.step
        if step.instance != effect.instance or step.attempt != effect.attempt or not step.active:
            return
        try:
            properties = assigned_properties(run)
        except BadProperties as error:  # nobody decides to send such a step
            log.error("The step is not sent: %s", error)
            return
        self._boards.assign(
            messages.Assignment(
                id=f"{run.id}.{step.instance}.{step.attempt}",
                at=moment_text(self._clock()),
                board=effect.board,
                run=run.id,
                instance=step.instance,
                attempt=step.attempt,
                seq=1,
                workflow=run.workflow,
                workty=step.program,
                package=None if step.package is None else self._links(step.package),
                properties=properties,
                checkpoint=step.checkpoint if step.recovery.resumable else None,
                limits=step.limits,
                access=step.access,
                trace=self._tracing.here() or run.trace,
            )
        )

    def _link(self, run: Run) -> None:
        key = {"_id": ObjectId(run.workflow)}
        # The same number as well: a backup that was not made at one moment may lack the run that had it.
        older = {"$or": [{"runNumber": {"$lte": run.number}}, {"runNumber": {"$exists": False}}]}
        latest = {"runId": ObjectId(run.id), "runNumber": run.number}
        linked = self._workflows.update_one(key | older, {"$set": latest}).matched_count > 0
        self._runs.followed(run.workflow, run.number)
        if not linked and self._workflows.find_one(key, {"_id": True}) is None:  # removed while the run began
            self._runs.workflow_gone(run.workflow)


def progress_made(run: Run, progress: StepProgress) -> ProgressMade:
    """What live clients are told of the progress of a run's step."""
    return ProgressMade(
        account=run.account,
        workflow=run.workflow,
        run=run.id,
        seq=progress.seq,
        instance=progress.instance,
        state=progress.state,
        attempt=progress.attempt,
        progress=progress.progress,
        message=progress.message,
    )


def step_change(run: Run, effect: Announce) -> StepChange:
    """What live clients are told by an announcement of the run."""
    return StepChange(
        account=run.account,
        workflow=run.workflow,
        name=run.workflow_name,
        desc=run.workflow_desc,
        run=run.id,
        seq=effect.seq,
        run_state=effect.run_state,
        started=effect.started,
        finished=effect.finished,
        step=effect.step,
        completed=effect.completed,
    )
