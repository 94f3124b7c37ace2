"""Who gets which slot: free slots go to the waiting runs, in the order of the fair queue, as soon as there are any."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestrator.boards.fitting import waiting_reason
from orchestrator.boards.store import Board, BoardStore
from orchestrator.live import NOBODY, Audience, EntityChange, EntityKind
from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import (
    NO_SLOT,
    BoardRef,
    Run,
    RunEvent,
    SlotGranted,
    StepReason,
    StillWaiting,
)

Handle = Callable[[str, list[RunEvent]], Run | None]


class SlotAllocator:
    """Leases slots to runs.

    Args:
        boards: the boards and their leases.
        runs: the runs and their queue.
        handle: gives an event to a run, as `Engine.handle`.
        clock: the moment, UTC.
        audience: is told of every slot that is leased or free again.
    """

    def __init__(
        self,
        boards: BoardStore,
        runs: RunStore,
        handle: Handle,
        clock: Callable[[], datetime],
        audience: Audience = NOBODY,
    ) -> None:
        self._boards = boards
        self._runs = runs
        self._handle = handle
        self._clock = clock
        self._audience = audience

    def fill(self) -> frozenset[str]:
        """Lease free slots, least loaded board first; returns the ids of the runs that got one."""
        room = {board.id: board for board in self._boards.available() if board.free}
        granted: set[str] = set()
        free = {board.id: board.free for board in room.values()}
        while free:
            board = room[max(free, key=lambda board_id: free[board_id] / room[board_id].slots)]
            run_id = self._lease_to_next(board)
            if run_id is None:
                del free[board.id]
                continue
            granted.add(run_id)
            free[board.id] -= 1
            if not free[board.id]:
                del free[board.id]
        return frozenset(granted)

    def release(self, board_id: str, run_id: str) -> None:
        """Give back what a run has leased, and let the next one have it."""
        if self._boards.release(board_id, run_id):
            self._tell(board_id)
        self.fill()

    def note_leaving(self, board_id: str) -> None:
        """Lease nothing of a board until it is heard again."""
        if self._boards.leaving(board_id):
            self._tell(board_id)

    def explain(self, run: Run) -> None:
        """Have a run that still waits say what it waits for."""
        reason = self._reason(run)
        if run.step.reason != reason:
            self._handle(run.id, [StillWaiting(reason)])

    def before(self, run: Run) -> StepReason:
        """What a run says before anybody has tried to get it a slot: that no board fits, or that it waits its turn."""
        reason = self._reason(run)
        return NO_SLOT if reason.code == NO_SLOT.code else reason

    def _reason(self, run: Run) -> StepReason:
        return waiting_reason(self._boards.all(), run.languages, run.labels)

    def _lease_to_next(self, board: Board) -> str | None:
        """Lease a slot of `board` to the next waiting run that fits; None if there is no such run or slot."""
        waiting = self._runs.next_waiting(board.runtimes, board.labels)
        if waiting is None or not self._boards.lease(board, waiting.id, self._clock()):
            return None
        self._tell(board.id)
        self._handle(waiting.id, [SlotGranted(BoardRef(board.id, board.name))])
        self._runs.served(waiting.ticket)
        return waiting.id

    def _tell(self, board_id: str) -> None:
        self._audience.entity_changed(EntityChange(kind=EntityKind.BOARD, id=board_id, owner=None))
