"""How long it takes until another board runs what a killed one ran: rounds in which several boards lose their power.

In each round every doomed board runs a step, and all of them are killed at once; an heir, which was disabled until
then, has room for all steps. The time is that from the kill of a board to `running` of the next attempt of its step, as
the server records it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestrator.core import utc_now
from tests.acceptance.user import User
from tests.chaos.held import Ledger
from tests.chaos.private import DEADLINE, PrivateStack
from tests.servers import waiting
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
        private: where; it has no other board.
        doomed: how many boards are killed in each round.
    """

    def __init__(self, private: PrivateStack, doomed: int) -> None:
        self._private, self._stack = private, private.stack
        self._doomed = [self._add(f"doomed-{number}", 1) for number in range(doomed)]
        self._heir = self._add("heir", doomed)
        self._rounds = 0

    def round(self) -> list[float]:
        """One round; the seconds of each step."""
        self._rounds += 1
        ledger = Ledger(self._private.shared, f"takeover-{self._rounds}")
        with closing(User(self._stack.url)) as user:
            workflows = self._run_on_doomed(user, ledger)
            killed = self._kill()
            self._until(lambda: ledger.count("holding") == 2 * len(workflows), "the heir to go on with all steps")
            ledger.release()
            self._until(
                lambda: self._private.count(workflows, state="completed") == len(workflows), "all steps to end"
            )
        runs = self._private.runs(workflows)
        assert [run["steps"][0]["attempt"] for run in runs] == [2] * len(runs), "one loss, one more attempt"
        assert {run["steps"][0]["board"]["id"] for run in runs} == {self._heir.id}
        for board in self._doomed:
            self._stack.restart(board.process)
        return [_seconds(run, killed) for run in runs]

    def _add(self, name: str, slots: int) -> Board:
        return self._stack.add_board(name, slots=slots, step_shared=str(self._private.shared))

    def _run_on_doomed(self, user: User, ledger: Ledger) -> list[str]:
        """Have every doomed board run a step, and return the workflows when all of them hold."""
        self._disable_heir(True)
        names = [board.process for board in self._doomed]
        workflows = [user.workflow(("held", ledger.properties(name))) for name in names]
        for workflow in workflows:
            user.run(workflow)
        self._until(
            lambda: self._private.count(workflows, state="running", worktyState="holding") == len(workflows),
            "all doomed boards to hold a step",
        )
        self._disable_heir(False)
        return workflows

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

    def _until(self, look: Callable[[], bool], what: str) -> None:
        waiting.until(look, seconds=DEADLINE, what=what, tail=self._stack.tails)


def _seconds(run: Mapping[str, Any], killed: Mapping[str, datetime]) -> float:
    """From the kill of the board of the first attempt to `running` of the second."""
    first, second = (
        next(entry for entry in run["history"] if (entry["attempt"], entry["state"]) == (attempt, "running"))
        for attempt in (1, 2)
    )
    return float((second["at"] - killed[first["board"]["id"]]) / timedelta(seconds=1))
