"""Keeps what steps wrote: asks whether a board may say so, stores it, and tells whoever follows the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from orchestrator.errors import Unavailable
from orchestrator.live import Audience
from orchestrator.runs.logs import RunLogs
from orchestrator.runs.store import Origin, RunStore
from workties.messages import Log
from workties.process_log import about

log = logging.getLogger(__name__)


class LogKeeper:
    """Takes lines of output.

    Args:
        logs: where lines are stored.
        runs: whose the runs are, and which boards had them.
        audience: live clients.
        clock: the moment, UTC.
        kept: how long lines are kept.
    """

    def __init__(
        self, logs: RunLogs, runs: RunStore, audience: Audience, clock: Callable[[], datetime], kept: timedelta
    ) -> None:
        self._logs = logs
        self._runs = runs
        self._audience = audience
        self._clock = clock
        self._kept = kept

    def origins(self, run_ids: Iterable[str]) -> Mapping[str, Origin]:
        """Of these runs those that exist, by their ids."""
        return self._runs.origins(run_ids)

    def keep(self, origin: Origin, messages: Sequence[Log]) -> None:
        """Store messages of a run, for which `refusal` gave no reason, and tell them. Raises `Contended`.

        What had been stored before is told again, with the same number: whoever stored it may have died before it told.
        """
        now = self._clock()
        written = self._logs.add(origin, messages, now, now + self._kept)
        try:
            for message in written:
                self._audience.logged(message)
        except Unavailable as error:
            # Followers notice by the number of the next message what they have missed, and read it.
            with about(run=str(origin.id)):
                log.warning("Lines are stored, but not told: %s", error)


def refusal(origin: Origin | None, message: Log) -> str | None:
    """Why lines of this board may not be kept in the log of a run; None if they may.

    Args:
        origin: the run that the message names; None if there is none.
    """
    if origin is None:
        return f"There is no run {message.run}"
    step = origin.steps.get(message.instance)
    if step is None:
        return f"Run {message.run} has no step {message.instance}"
    allowed = origin.boards if message.attempt < step.attempt else {step.board}
    if message.attempt > step.attempt or message.board not in allowed:
        return f"Board {message.board} never had attempt {message.attempt} of step {message.instance}"
    return None
