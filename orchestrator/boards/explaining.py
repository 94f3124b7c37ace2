"""Keeps true what waiting runs say they wait for, while boards come, go and change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from orchestrator.boards.fitting import waiting_reason
from orchestrator.boards.store import Board
from orchestrator.live import NOBODY, Audience, EntityChange, EntityKind
from orchestrator.runs.waiting import WaitingRuns

#: Where no board has changed, reasons are compared this often all the same: another process may have written old ones.
COMPARED_EVERY = timedelta(seconds=20)
#: Live clients are told of at most so many runs each time, those that are served first; others see it when they read.
MOST_TOLD = 100


class Explainer:
    """Compares what waiting runs say with the boards.

    Args:
        runs: those that wait.
        clock: the moment, UTC.
        audience: is told of the workflows whose runs say something else now.
        most_told: of how many of them each time.
    """

    def __init__(
        self,
        runs: WaitingRuns,
        clock: Callable[[], datetime],
        audience: Audience = NOBODY,
        *,
        most_told: int = MOST_TOLD,
    ) -> None:
        self._runs = runs
        self._clock = clock
        self._audience = audience
        self._most_told = most_told
        self._seen: frozenset[object] | None = None
        self._compared: datetime | None = None

    def refresh(self, boards: Sequence[Board]) -> None:
        """Have waiting runs say what `boards`, which are all, make them wait for.

        One query, and two writes or queries for each need whose sentence is another one, however many runs wait.
        """
        seen, now = frozenset(_picture(board) for board in boards), self._clock()
        if seen == self._seen and self._compared is not None and now - self._compared < COMPARED_EVERY:
            return
        told = 0
        for group in self._runs.groups():
            reason = waiting_reason(boards, group.languages, group.labels)
            if reason.message != group.message:
                changed = self._runs.explain(group, reason, now, self._most_told - told)
                told += len(changed)
                for workflow, account in changed:
                    change = EntityChange(kind=EntityKind.WORKFLOW, id=workflow, owner=account)
                    self._audience.entity_changed(change)
        self._seen, self._compared = seen, now


def _picture(board: Board) -> object:
    """All of a board that a reason may name."""
    state = (board.connected, board.disabled, board.draining, board.last_seen is None)
    return (board.id, board.name, state, board.slots, board.runtimes, board.labels)
