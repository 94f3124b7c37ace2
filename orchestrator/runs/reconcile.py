"""Compares what should be with what is, and repairs the difference. A lost message or a crash can only cost time.

`overdue` and `surplus` decide; `Reconciler.sweep` looks and acts. One sweep costs a fixed number of queries, and
those for what it repairs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.boards.explaining import Explainer
from orchestrator.boards.fleet import Fleet
from orchestrator.boards.slots import SlotAllocator
from orchestrator.boards.store import Board, BoardStore
from orchestrator.runs.effects import Effects
from orchestrator.runs.engine import Engine
from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import (
    AnswerOverdue,
    AttemptMissing,
    BoardBack,
    BoardLost,
    Instruct,
    Run,
    RunEvent,
    TimerDue,
    Wanted,
)
from workties.messages import ActiveAttempt
from workties.process_log import about

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what may take (live API contract, sections 7 and 8).

    Attributes:
        answer: until an assignment, stop or pause that was not answered is sent again.
        missing: until an accepted attempt that no heartbeat lists is lost.
        surplus: until a board is told to forget what it lists and nobody wants; more than from heartbeat to heartbeat.
        heartbeat: silence after which a board is disconnected.
        lost_after: further silence after which its attempts are lost.
        lease: age of a lease that no run uses before it is freed.
        sweep: from one sweep to the next.
    """

    answer: timedelta = timedelta(seconds=10)
    missing: timedelta = timedelta(seconds=10)
    surplus: timedelta = timedelta(seconds=5)
    heartbeat: timedelta = timedelta(seconds=10)
    lost_after: timedelta = timedelta(seconds=5)
    lease: timedelta = timedelta(seconds=10)
    sweep: timedelta = timedelta(seconds=2)


def overdue(run: Run, now: datetime, answer: timedelta) -> bool:
    """Whether a board owes an answer about the current attempt for longer than `answer`."""
    step = run.step
    if step.dispatched is None:
        return False
    if run.wanted is not Wanted.RUN:
        return step.asked is None or now - step.asked >= answer
    return step.accepted is None and now - step.dispatched >= answer


def listed(run: Run, board: Board) -> bool:
    """Whether the board's last heartbeat lists the current attempt."""
    step = run.step
    return any(
        active.run == run.id and active.instance == step.instance and active.attempt == step.attempt
        for active in board.active
    )


def surplus(board: Board, runs: Mapping[str, Run]) -> Iterator[ActiveAttempt]:
    """What a board lists although nobody wants it there any more: old attempts, and runs that it does not hold."""
    for active in board.active:
        run = runs.get(active.run)
        if run is None or not _wanted(run, board, active):
            yield active


def _wanted(run: Run, board: Board, active: ActiveAttempt) -> bool:
    here = run.board is not None and run.board.id == board.id
    return here and active.instance == run.step.instance and active.attempt >= run.step.attempt


class Lasting:
    """How long something has been seen in every sweep. It is forgotten when a sweep does not see it."""

    def __init__(self) -> None:
        self._before: dict[Hashable, datetime] = {}
        self._now: dict[Hashable, datetime] = {}

    def seen(self, key: Hashable, now: datetime) -> timedelta:
        """Note that `key` is seen; returns for how long that has been so without a break."""
        since = self._now[key] = self._before.get(key, now)
        return now - since

    def end_sweep(self) -> None:
        """Forget what was not seen since the last call."""
        self._before, self._now = self._now, {}


class Reconciler:
    """Sweeps over boards and runs; its arguments are the engine and everything that it repairs."""

    def __init__(
        self,
        *,
        engine: Engine,
        effects: Effects,
        runs: RunStore,
        boards: BoardStore,
        fleet: Fleet,
        slots: SlotAllocator,
        explainer: Explainer,
        timing: Timing,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._effects = effects
        self._runs = runs
        self._boards = boards
        self._fleet = fleet
        self._slots = slots
        self._explainer = explainer
        self._timing = timing
        self._clock = clock
        self._lasting = Lasting()

    def sweep(self, silent_since: datetime | None) -> None:
        """Look at everything once and repair what is wrong.

        Args:
            silent_since: silence of boards before this moment does not count; None: the server hears nothing from
                the broker now, so that no board is judged.
        """
        self._engine.recover()
        for run_id in self._runs.due(self._clock()):
            self._engine.handle(run_id, [TimerDue()])
        # Runs first: a lease is taken before its run holds it, so every run read here finds its lease below.
        runs = {run.id: run for run in self._runs.holding()}
        boards = {board.id: board for board in self._boards.all()}
        if silent_since is not None:
            self._fleet.judge(list(boards.values()), silent_since, self._timing.lost_after, self._timing.heartbeat)
        for run in runs.values():
            event = self._repair(run, boards, hears=silent_since is not None)
            if event is not None:
                self._engine.handle(run.id, [event])
        for board in boards.values():
            self._tidy(board, runs)
        self._lasting.end_sweep()
        self._slots.fill()
        self._explainer.refresh(list(boards.values()))

    def _repair(self, run: Run, boards: Mapping[str, Board], *, hears: bool) -> RunEvent | None:
        """The event that repairs a run which holds a slot, if it needs repair."""
        if run.board is None:
            return None
        board = boards.get(run.board.id)
        if board is None or not any(lease.run == run.id for lease in board.leases):
            return BoardLost(run.board.id)
        # Time is counted from heartbeat to heartbeat: while none comes, nothing can be listed, and nothing is answered.
        if not board.connected or board.last_seen is None:
            return None
        return self._compare(run, board, board.last_seen, hears=hears)

    def _compare(self, run: Run, board: Board, heard: datetime, *, hears: bool) -> RunEvent | None:
        """What follows for a run from what its board says, which was last heard at `heard`."""
        step = run.step
        # Before anything is asked again: a board that knows nothing of an attempt cannot answer about it.
        if self._is_missing(run, board, heard):
            return AttemptMissing(step.instance, step.attempt)
        if overdue(run, self._clock(), self._timing.answer):
            return AnswerOverdue(hears)
        if run.awaits_board and self._lasting.seen((run.id, step.instance, step.attempt, "back"), heard) > timedelta():
            return BoardBack(board.id)
        return None

    def _is_missing(self, run: Run, board: Board, heard: datetime) -> bool:
        """Whether heartbeats have not listed an accepted attempt for too long."""
        step = run.step
        if step.accepted is None or heard <= step.accepted or listed(run, board):
            return False
        return self._lasting.seen((run.id, step.instance, step.attempt), heard) >= self._timing.missing

    def _tidy(self, board: Board, runs: Mapping[str, Run]) -> None:
        """Free leases that nobody uses, and have the board forget what nobody wants."""
        now = self._clock()
        for lease in board.leases:
            run = runs.get(lease.run)
            used = run is not None and run.board is not None and run.board.id == board.id
            if not used and now - lease.at >= self._timing.lease:
                with about(board=board.id, run=lease.run):
                    log.info("The lease is used by nobody and freed")
                self._slots.release(board.id, lease.run)
        if not board.connected or board.last_seen is None:
            return
        for active in surplus(board, runs):
            key = (board.id, active.run, active.instance, active.attempt)
            if self._lasting.seen(key, board.last_seen) >= self._timing.surplus:
                self._effects.instruct(active.run, Instruct(board.id, active.instance, active.attempt, "forget"))
