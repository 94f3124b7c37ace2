"""What boards say about runs and about themselves: hands each event to the run engine or the boards' records."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.boards.fleet import Fleet
from orchestrator.deliveries import Checked, Delivery, Keep, Settling
from orchestrator.runs.engine import Engine
from workties import messages
from workties.process_log import about


class EventHandler:
    """Applies batches of deliveries of the events queue.

    Args:
        engine: applies events to runs.
        fleet: applies heartbeats to boards.
        keep: keeps messages that cannot be used.
        server: the server's account on the broker; None where nothing is replayed.
    """

    def __init__(
        self,
        engine: Engine,
        fleet: Fleet,
        keep: Keep,
        server: str | None = None,
    ) -> None:
        self._engine = engine
        self._fleet = fleet
        self._settling = Settling(keep, server)

    def apply(self, deliveries: Sequence[Delivery]) -> bool:
        """Apply deliveries; those about one run in one decision. Returns whether all could be applied or kept.

        False means that the database or the broker is away, and that some were left open.
        """
        runs: dict[str, list[Checked[messages.StepEvent]]] = {}
        byes: list[Checked[messages.Heartbeat]] = []
        fine = True
        for delivery in deliveries:
            found = self._settling.check(delivery)
            if isinstance(found, str):
                fine &= self._settling.keep_aside(delivery, found)
            elif isinstance(found.event, messages.Bye):
                byes.append(Checked(delivery, found.event))
            elif isinstance(found.event, messages.Heartbeat):
                fine &= self._settling.settle([Checked(delivery, found.event)], self._heartbeat)
            else:
                runs.setdefault(found.event.run, []).append(Checked(delivery, found.event))
        for group in runs.values():
            fine &= self._settling.settle(group, self._steps)
        for bye in byes:  # what the board said of its attempts before must be known by then
            fine &= self._settling.settle([bye], self._heartbeat)
        return fine

    def _heartbeat(self, beats: Sequence[messages.Heartbeat]) -> None:
        for beat in beats:
            self._fleet.heard(beat)

    def _steps(self, events: Sequence[messages.StepEvent]) -> None:
        first = events[0]
        with about(board=first.board, step=first.instance, attempt=first.attempt):
            self._engine.handle(first.run, events)
