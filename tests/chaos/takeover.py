"""How long it takes until another board runs what a killed one ran: rounds in which several boards lose their power.

In each round every doomed board runs a step, and all of them are killed at once; an heir, which was disabled until
then, has room for all steps. The time is that from the kill of a board to `running` of the next attempt of its step, as
the server records it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestrator.core import utc_now
from tests.chaos.private import PrivateStack
from tests.servers.stack import Board


@dataclass(frozen=True)
class Times:
    """Seconds from the kill of a board to `running` elsewhere, one for each step."""

    seconds: Sequence[float]

    @property
    def p95(self) -> float:
        """95 of 100 are not longer."""
        return sorted(self.seconds)[-(-len(self.seconds) * 95 // 100) - 1]

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"takeover: n {len(self.seconds)}, median {statistics.median(self.seconds):.1f} s, "
            f"p95 {self.p95:.1f} s, max {max(self.seconds):.1f} s"
        )


class Takeover:
    """Boards that are killed, and the one that takes over.

    Parameters:
        private: where.
        doomed: the boards that are killed in each round, with a slot each.
        heir: has a slot for each of them.
        label: that of all these boards, and of no other.
    """

    def __init__(self, private: PrivateStack, doomed: Sequence[Board], heir: Board, label: str) -> None:
        self._private, self._stack, self._label = private, private.stack, label
        self._doomed, self._heir = doomed, heir
        self._rounds = 0

    def round(self) -> list[float]:
        """One round; the seconds of each step."""
        self._rounds += 1
        with self._private.steps(self._label, f"takeover-{self._rounds}") as steps:
            self._disable_heir(True)
            steps.begin(*(board.process for board in self._doomed))
            steps.until_holding()
            self._disable_heir(False)
            killed = self._kill()
            steps.until(
                lambda: steps.ledger.count("holding") == 2 * len(self._doomed), "the heir to go on with all steps"
            )
            steps.ledger.release()
            steps.until_completed()
            runs = steps.runs()
        assert [run["steps"][0]["attempt"] for run in runs] == [2] * len(runs), "one loss, one more attempt"
        for board in self._doomed:
            self._stack.restart(board.process)
        return [_seconds(run, killed) for run in runs]

    def _kill(self) -> Mapping[str, datetime]:
        """Cut the power of all doomed boards at once; the moment of each, by its id."""

        def cut(board: Board) -> tuple[str, datetime]:
            moment = utc_now()
            self._stack.power_cut(board.process)
            return board.id, moment

        with ThreadPoolExecutor(len(self._doomed)) as pool:
            return dict(pool.map(cut, self._doomed))

    def _disable_heir(self, disabled: bool) -> None:
        self._stack.rest("PUT", f"/devices/{self._heir.id}", {"disabled": disabled})


def _seconds(run: Mapping[str, Any], killed: Mapping[str, datetime]) -> float:
    """From the kill of the board of the first attempt to `running` of the second."""
    first, second = (
        next(entry for entry in run["history"] if (entry["attempt"], entry["state"]) == (attempt, "running"))
        for attempt in (1, 2)
    )
    return float((second["at"] - killed[first["board"]["id"]]) / timedelta(seconds=1))
