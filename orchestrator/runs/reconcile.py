"""Compares what should be with what is, and repairs the difference. A lost message or a crash can only cost time.

`overdue` and `surplus` decide; `Reconciler.sweep` looks and acts. One sweep costs a fixed number of queries, and
those for what it repairs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.boards.explaining import Explainer
from orchestrator.boards.fleet import Fleet
from orchestrator.boards.slots import SlotAllocator
from orchestrator.boards.store import Board, BoardStore
from orchestrator.runs.catching_up import further
from orchestrator.runs.decision import Instruct
from orchestrator.runs.differences import BoardsAttempt, Difference, Differences
from orchestrator.runs.effects import Effects
from orchestrator.runs.engine import Engine
from orchestrator.runs.sightings import AnswerOverdue, AttemptListed, AttemptMissing, BoardBack, BoardLost
from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import (
    Run,
    RunEvent,
    StepState,
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
        surplus: until a board is told to forget what it lists and nobody wants, or a run catches up with what its board
            lists; more than from heartbeat to heartbeat.
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
    current = (active.instance, active.attempt) == (run.step.instance, run.step.attempt)
    return here and (current or further(run, board.id, active.instance, active.attempt) is not None)


def news(run: Run, board: Board) -> AttemptListed | None:
    """What the last heartbeat says of the current step that the run does not: a later attempt, or that it has begun."""
    told = None
    for active in sorted(board.active, key=lambda active: active.attempt):
        if active.run != run.id or active.instance != run.step.instance:
            continue
        begun = active.state != "accepted"
        unsaid = begun and active.attempt == run.step.attempt and run.step.state is StepState.WAITING
        if unsaid or further(run, board.id, active.instance, active.attempt) is not None:
            told = AttemptListed(board.id, active.instance, active.attempt, begun)
    return told


def _further(active: ActiveAttempt, board: Board, runs: Mapping[str, Run]) -> bool:
    return further(runs[active.run], board.id, active.instance, active.attempt) is not None


def _attempt(board: Board, active: ActiveAttempt) -> BoardsAttempt:
    return BoardsAttempt(board.id, active.run, active.instance, active.attempt)


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
        differences: Differences,
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
        self._differences = differences
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
        unwanted = [found for board in boards.values() for found in self._tidy(board, runs)]
        self._forget(unwanted)
        self._lasting.end_sweep()
        self._slots.fill()
        self._explainer.refresh(list(boards.values()))
        if (summary := self._differences.summary(self._clock())) is not None:
            log.warning("%s", summary)

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
        return self._agree(run, board, board.last_seen, hears=hears)

    def _agree(self, run: Run, board: Board, heard: datetime, *, hears: bool) -> RunEvent | None:
        """The event that lets a run and its board, last heard then, agree again."""
        step = run.step
        told = news(run, board)
        if told is not None and self._lasting.seen((run.id, told), heard) >= self._timing.surplus:
            return told
        # Before anything is asked again: a board that knows nothing of an attempt cannot answer about it.
        if self._is_missing(run, board, heard):
            return AttemptMissing(step.instance, step.attempt)
        if overdue(run, self._clock(), self._timing.answer):
            return AnswerOverdue(hears)
        if run.awaits_board and self._lasting.seen((run.id, step.instance, step.attempt, "back"), heard) > timedelta():
            return BoardBack(board.id)
        return None

    def _is_missing(self, run: Run, board: Board, heard: datetime) -> bool:
        """Whether heartbeats have not listed an accepted attempt for too long: half of it until the board is asked."""
        step = run.step
        if step.accepted is None or heard <= step.accepted or listed(run, board):
            return False
        unlisted = self._lasting.seen((run.id, step.instance, step.attempt), heard)
        asked = step.asked is not None or run.wanted is not Wanted.RUN
        return unlisted >= (self._timing.missing if asked else self._timing.missing / 2)

    def _tidy(self, board: Board, runs: Mapping[str, Run]) -> Iterator[tuple[Board, ActiveAttempt]]:
        """Free leases that nobody uses; yields what the board is to forget, because nobody wants it."""
        now = self._clock()
        for lease in board.leases:
            run = runs.get(lease.run)
            used = run is not None and run.board is not None and run.board.id == board.id
            if not used and now - lease.at >= self._timing.lease:
                with about(board=board.id, run=lease.run):
                    log.info("The lease is used by nobody and freed")
                self._differences.add(Difference.UNUSED_LEASE, (board.id, lease.run), now)
                self._slots.release(board.id, lease.run)
        if not board.connected or board.last_seen is None:
            return
        unwanted = frozenset(surplus(board, runs))
        for active in board.active:
            told = active in unwanted or _further(active, board, runs)
            if not told or self._lasting.seen(_attempt(board, active), board.last_seen) < self._timing.surplus:
                continue
            if active in unwanted:
                yield board, active
            else:
                self._differences.attempt(Difference.FURTHER, _attempt(board, active), now)

    def _forget(self, unwanted: Sequence[tuple[Board, ActiveAttempt]]) -> None:
        """Have boards forget attempts, and note those of runs that do not exist."""
        known = self._runs.existing(active.run for _, active in unwanted) if unwanted else frozenset()
        for board, active in unwanted:
            if active.run not in known:
                self._differences.attempt(Difference.UNKNOWN_RUN, _attempt(board, active), self._clock())
            self._effects.instruct(active.run, Instruct(board.id, active.instance, active.attempt, "forget"))
