"""What steps wrote, as their boards send it: hands the lines of each run to the keeper of logs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pymongo.errors import PyMongoError

from orchestrator.deliveries import Checked, Delivery, Keep, Settling
from orchestrator.runs.log_keeper import LogKeeper, refusal
from orchestrator.runs.store import Origin
from workties.messages import Log

#: Largest message of lines, bytes (live API contract, section 8).
MAX_LOG_BYTES = 64 * 1024


class LogHandler:
    """Applies batches of deliveries of the logs queue.

    Args:
        keeper: keeps the lines.
        keep: keeps messages that cannot be used.
        server: the server's account on the broker; None where nothing is replayed.
    """

    def __init__(self, keeper: LogKeeper, keep: Keep, server: str | None = None) -> None:
        self._keeper = keeper
        self._settling = Settling(keep, server)

    def apply(self, deliveries: Sequence[Delivery]) -> bool:
        """Keep the lines of deliveries, those of one run in one write. Returns whether all were kept, here or aside.

        False means that the database or the broker is away, and that some were left open.
        """
        runs: dict[str, list[Checked[Log]]] = {}
        fine = True
        for delivery in deliveries:
            found = self._settling.check(delivery, MAX_LOG_BYTES)
            if isinstance(found, str):
                fine &= self._settling.keep_aside(delivery, found)
            elif not isinstance(found.event, Log):
                fine &= self._settling.keep_aside(delivery, f"A {found.event.kind} has no place in the queue of logs")
            else:
                runs.setdefault(found.event.run, []).append(Checked(delivery, found.event))
        try:
            origins = self._keeper.origins(runs)
        except PyMongoError as error:
            self._settling.leave([found for group in runs.values() for found in group], error)
            return False
        for run_id, group in runs.items():
            fine &= self._run(origins.get(run_id), group)
        return fine

    def _run(self, origin: Origin | None, group: Sequence[Checked[Log]]) -> bool:
        fine, allowed = True, []
        for found in group:
            reason = refusal(origin, found.event)
            if reason is None:
                allowed.append(found)
            else:
                fine &= self._settling.keep_aside(found.delivery, reason)
        if origin is not None and allowed:
            fine &= self._settling.settle(allowed, partial(self._keeper.keep, origin))
        return fine
