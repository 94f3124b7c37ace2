"""What boards say: reads the events queue, checks each message, and hands it to the run engine or the boards' records.

Nothing that was accepted is lost: a message is acknowledged after it was applied; one that cannot be used is kept in
the dead-letter queue with the reason; while the database is away messages wait in the broker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pymongo.errors import PyMongoError

from orchestrator.boards.fleet import Fleet
from orchestrator.errors import OrchestratorError, Unavailable, brief
from orchestrator.runs.engine import Contended, Engine
from workties import messages
from workties.errors import BadMessage
from workties.parsing import parse_event

log = logging.getLogger(__name__)


#: Largest message that is read, bytes. The largest valid ones hold a checkpoint or an output of 256 KiB.
MAX_BYTES = 1024 * 1024


class Delivery(Protocol):
    """A message from the broker (kombu's `Message`)."""

    body: Any
    delivery_info: dict[str, Any]
    properties: dict[str, Any]

    @property
    def payload(self) -> Any:
        """The decoded body."""

    def ack(self) -> None:
        """It was applied or kept elsewhere."""

    def requeue(self) -> None:
        """Deliver it again."""


@dataclass(frozen=True, slots=True)
class _Checked:
    delivery: Delivery
    event: messages.BoardEvent


class EventHandler:
    """Applies batches of deliveries.

    Args:
        engine: applies events to runs.
        fleet: applies heartbeats to boards.
        dead_letter: keeps a message with a reason and its routing key.
        clock: the moment, UTC.
    """

    def __init__(
        self,
        engine: Engine,
        fleet: Fleet,
        dead_letter: Callable[[Any, str, str], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._fleet = fleet
        self._dead_letter = dead_letter
        self._clock = clock

    def apply(self, deliveries: Sequence[Delivery]) -> bool:
        """Apply deliveries; those about one run in one decision. Returns whether all could be applied or kept.

        False means that the database or the broker is away, and that some were given back to the broker.
        """
        runs: dict[str, list[_Checked]] = {}
        fine = True
        for delivery in deliveries:
            checked = self._check(delivery)
            if isinstance(checked, str):
                fine &= self._keep(delivery, checked)
            elif isinstance(checked.event, messages.Heartbeat):
                fine &= self._guarded([checked], self._heartbeat)
            else:
                runs.setdefault(checked.event.run, []).append(checked)
        for group in runs.values():
            fine &= self._guarded(group, self._steps)
        return fine

    def _check(self, delivery: Delivery) -> _Checked | str:
        """The event in a delivery, or the reason why it cannot be used."""
        if len(delivery.body) > MAX_BYTES:
            return f"It has {len(delivery.body)} bytes, more than {MAX_BYTES}"
        try:
            event = parse_event(delivery.payload)
        except BadMessage as error:
            return str(error)
        except (ValueError, TypeError, LookupError) as error:
            return f"The body cannot be decoded: {error}"
        said_by = delivery.properties.get("user_id")
        key = delivery.delivery_info.get("routing_key")
        if said_by != event.board:
            return f"Its user_id is {said_by!r}, not that of board {event.board}; the broker vouches for no such sender"
        if key != f"{event.board}.{event.kind}":
            return f"Its routing key {key!r} does not fit a {event.kind} of board {event.board}"
        return _Checked(delivery, event)

    def _heartbeat(self, group: Sequence[_Checked]) -> None:
        for checked in group:
            if isinstance(checked.event, messages.Heartbeat):
                self._fleet.heard(checked.event)

    def _steps(self, group: Sequence[_Checked]) -> None:
        events = [checked.event for checked in group if not isinstance(checked.event, messages.Heartbeat)]
        self._engine.handle(events[0].run, events)

    def _guarded(self, group: Sequence[_Checked], apply: Callable[[Sequence[_Checked]], None]) -> bool:
        try:
            apply(group)
        except (PyMongoError, Unavailable, Contended) as error:
            log.warning("%d events have to wait: %s", len(group), brief(error))
            for checked in group:
                checked.delivery.requeue()
            return False
        except (OrchestratorError, ValueError, TypeError, LookupError) as error:
            if len(group) > 1:  # only the one that is to blame shall be kept aside
                return sum(self._guarded([checked], apply) for checked in group) == len(group)
            log.exception("An event cannot be applied: %s", group[0].event)
            return self._keep(group[0].delivery, f"It cannot be applied: {error!r}")
        for checked in group:
            checked.delivery.ack()
        return True

    def _keep(self, delivery: Delivery, reason: str) -> bool:
        key = str(delivery.delivery_info.get("routing_key"))
        log.warning("Message %s goes to the dead letters: %s", key, reason)
        try:
            self._dead_letter(_readable(delivery), reason, key)
        except Unavailable:
            delivery.requeue()
            return False
        delivery.ack()
        return True


def _readable(delivery: Delivery) -> Any:
    """The body for people to look at: decoded where that is possible, shortened where it is too large."""
    if len(delivery.body) <= MAX_BYTES:
        with suppress(ValueError, TypeError, LookupError):
            return delivery.payload
    return repr(delivery.body[:65536])
