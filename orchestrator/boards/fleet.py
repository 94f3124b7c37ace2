"""The life of boards: heartbeats, silence, loss, and what follows from them for slots and runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from orchestrator.boards.slots import Handle, SlotAllocator
from orchestrator.boards.store import Board, BoardStore
from orchestrator.live import NOBODY, Audience, EntityChange, EntityKind
from orchestrator.runs.differences import Difference, Differences
from orchestrator.runs.recovery import gives_up
from orchestrator.runs.sightings import BoardBack, BoardLeft, BoardLost
from orchestrator.runs.store import RunStore
from workties.messages import Bye, Heartbeat
from workties.process_log import about

log = logging.getLogger(__name__)

#: An unknown board is mentioned in the log at most this often (seconds).
REMIND_SECONDS = 60.0


class Fleet:
    """What the server makes of what boards say about themselves.

    Args:
        boards: their records.
        runs: the runs, to find those that a board holds.
        slots: gives free slots away.
        handle: gives an event to a run, as `Engine.handle`.
        clock: the moment, UTC.
        audience: is told what people see of boards.
        differences: is told of boards that the database does not know.
    """

    def __init__(
        self,
        boards: BoardStore,
        runs: RunStore,
        slots: SlotAllocator,
        handle: Handle,
        clock: Callable[[], datetime],
        *,
        audience: Audience = NOBODY,
        differences: Differences,
    ) -> None:
        self._boards = boards
        self._runs = runs
        self._slots = slots
        self._handle = handle
        self._clock = clock
        self._audience = audience
        self._differences = differences
        self._reminded: dict[str, datetime] = {}

    def heard(self, heartbeat: Heartbeat) -> None:
        """Note a heartbeat or a bye; new slots go to waiting runs at once."""
        with about(board=heartbeat.board):
            self._heard(heartbeat)

    def _heard(self, heartbeat: Heartbeat) -> None:
        if isinstance(heartbeat, Bye):
            if self._boards.left(heartbeat):
                log.info("The board says bye: %s", heartbeat.reason)
                self._tell(heartbeat.board)
                for run in self._runs.holding(heartbeat.board):
                    self._handle(run.id, [BoardLeft(heartbeat.board)])
            return
        noted = self._boards.heard(heartbeat, self._clock())
        if noted is None:
            self._remind(heartbeat.board)
            return
        before, after = noted.before, noted.after
        if noted.news:
            self._tell(after.id)
        if before is not None and (not before.connected or _grew(before, after)):
            log.info("Board %s is connected: %d slots", after.name, after.slots)
            self._welcome(after.id)
            self._slots.fill()

    def judge(self, boards: Sequence[Board], silent_since: datetime, lost_after: timedelta, timeout: timedelta) -> None:
        """Note which boards have been silent for too long, and give up what the lost ones ran.

        Args:
            silent_since: silence before this moment does not count; the server itself heard nothing then.
            lost_after: how long a silent board keeps its leases after it counts as disconnected.
            timeout: how long a silent board counts as connected.
        """
        now = self._clock()
        for board in boards:
            silence = now - max(board.last_seen or silent_since, silent_since)
            if board.connected and silence >= timeout and self._boards.disconnected(board.id, board.last_seen):
                with about(board=board.id):
                    log.warning("Board %s is silent for %d s", board.name, silence.total_seconds())
                self._tell(board.id)
            if board.leases and not board.connected and silence >= timeout + lost_after:
                self._lose(board, silence.total_seconds())

    def serve(self) -> None:
        """Lease what has become free, e.g. because a board was enabled, to waiting runs."""
        self._slots.fill()

    def lose(self, board_id: str) -> None:
        """Give up every attempt of a board that does not come back; the runs go on elsewhere."""
        for run in self._runs.holding(board_id):
            self._handle(run.id, [BoardLost(board_id)])

    def _lose(self, board: Board, silent: float) -> None:
        """Give up what a silent board ran, but for steps that rather wait for it (`offline_grace`)."""
        given_up = [run for run in self._runs.holding(board.id) if gives_up(run, silent)]
        if given_up:
            with about(board=board.id):
                log.warning("Board %s is lost, and what it ran goes on elsewhere (runs: %d)", board.name, len(given_up))
        for run in given_up:
            self._handle(run.id, [BoardLost(board.id, silent)])

    def _welcome(self, board_id: str) -> None:
        """Let steps that waited for a board go on there."""
        for run in self._runs.holding(board_id):
            if run.awaits_board:
                self._handle(run.id, [BoardBack(board_id)])

    def _tell(self, board_id: str) -> None:
        self._audience.entity_changed(EntityChange(kind=EntityKind.BOARD, id=board_id, owner=None))

    def _remind(self, board_id: str) -> None:
        now = self._clock()
        self._differences.add(Difference.UNKNOWN_BOARD, board_id, now)
        last = self._reminded.get(board_id)
        if last is None or (now - last).total_seconds() >= REMIND_SECONDS:
            if len(self._reminded) >= 1000:
                self._reminded.clear()
            self._reminded[board_id] = now
            log.warning(
                "Board %s is unknown and refused. To add a board: workty board add NAME, then set WORKTY_BOARD_ID to "
                "the id that it prints; one that is missing in a restored backup: workty board add NAME --id %s",
                board_id,
                board_id,
            )


def _grew(before: Board, after: Board) -> bool:
    return (after.slots, after.runtimes, after.labels) != (before.slots, before.runtimes, before.labels)
