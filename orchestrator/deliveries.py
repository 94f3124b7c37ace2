"""Messages of boards as the broker delivers them: checked, and settled once it is known what became of them.

Nothing that was accepted is lost: a message is acknowledged after it was applied; one that cannot be used is kept in
the dead-letter queue with the reason; while the database is away messages are left open, for the broker to deliver them
again. What they mean is the affair of `orchestrator.events` and `orchestrator.log_events`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pymongo.errors import PyMongoError

from orchestrator.errors import Contended, Unavailable, brief
from workties.errors import BadMessage
from workties.messages import BoardEvent
from workties.parsing import parse_event

log = logging.getLogger(__name__)

#: Keeps a message that cannot be used: body, reason, routing key, and the sender that the broker vouches for, if any.
#: Raises `Unavailable` if it cannot now; ValueError, TypeError or RecursionError if JSON cannot hold the body.
Keep = Callable[[Any, str, str, str | None], None]

#: Headers of a dead letter, and of the message that it becomes when it is replayed: whom the broker vouched for, and
#: under which routing key it was sent.
SENDER_HEADER, KEY_HEADER = "x-workty-user-id", "x-workty-routing-key"

E_co = TypeVar("E_co", bound=BoardEvent, covariant=True)

#: Largest message that is read, bytes. The largest valid ones hold a checkpoint or an output of 256 KiB.
MAX_BYTES = 1024 * 1024


class Delivery(Protocol):
    """A message from the broker (kombu's `Message`)."""

    body: Any
    delivery_info: dict[str, Any]
    properties: dict[str, Any]
    headers: dict[str, Any]

    @property
    def payload(self) -> Any:
        """The decoded body."""

    def ack(self) -> None:
        """It was applied or kept elsewhere."""


@dataclass(frozen=True, slots=True)
class Checked(Generic[E_co]):
    """A delivery that is what it says, and the event in it."""

    delivery: Delivery
    event: E_co


def believed(event: BoardEvent, sender: object, key: object) -> str | None:
    """Why an event is not believed: it must come from its board, under a key that names both; None if it does."""
    if sender != event.board:
        return f"Its user_id is {sender!r}, not that of board {event.board}; the broker vouches for no such sender"
    if key != f"{event.board}.{event.kind}":
        return f"Its routing key {key!r} does not fit a {event.kind} of board {event.board}"
    return None


def origin(delivery: Delivery, server: str | None) -> tuple[Any, Any]:
    """Who sent a message, and under which routing key.

    For all but replayed messages that is what the broker says. A replayed one was published by the server, so it says
    itself who sent it the first time. It is believed only if it came through the default exchange, and the broker
    vouches for the server's account: a board's account may write to no exchange but that of events, and under no name
    but its own, whatever it writes into the headers.

    Args:
        server: the server's account on the broker; None where nothing is replayed.
    """
    info, sender = delivery.delivery_info, delivery.properties.get("user_id")
    if server is not None and sender == server and info.get("exchange") == "":
        return delivery.headers.get(SENDER_HEADER), delivery.headers.get(KEY_HEADER)
    return sender, info.get("routing_key")


def checked(delivery: Delivery, limit: int = MAX_BYTES, server: str | None = None) -> Checked[BoardEvent] | str:
    """The event in a delivery, or the reason why it cannot be used.

    Args:
        limit: largest body, bytes.
        server: the server's account on the broker, which may replay messages.
    """
    if len(delivery.body) > limit:
        return f"It has {len(delivery.body)} bytes, more than {limit}"
    try:
        event = parse_event(delivery.payload)
    except BadMessage as error:
        return str(error)
    except Exception as error:  # boards choose body and headers, and what decodes them has errors of many kinds
        return f"The body cannot be decoded: {error}"
    return believed(event, *origin(delivery, server)) or Checked(delivery, event)


class Settling:
    """Acknowledges deliveries, keeps them aside, or leaves them open.

    Args:
        keep: keeps messages that cannot be used.
        server: the server's account on the broker; None where nothing is replayed.
    """

    def __init__(self, keep: Keep, server: str | None = None) -> None:
        self._keep = keep
        self._server = server

    def check(self, delivery: Delivery, limit: int = MAX_BYTES) -> Checked[BoardEvent] | str:
        """The event in a delivery, or the reason why it cannot be used. `limit`: largest body, bytes."""
        return checked(delivery, limit, self._server)

    def settle(self, group: Sequence[Checked[E_co]], apply: Callable[[Sequence[E_co]], None]) -> bool:
        """Apply the events of a group together, and acknowledge them. Returns whether they were applied or kept aside.

        False means that the database or the broker is away, and that deliveries were left open.
        """
        try:
            apply([single.event for single in group])
        except (PyMongoError, Unavailable, Contended) as error:
            self.leave(group, error)
            return False
        except Exception as error:  # whatever it is, it would be the same when the event comes again
            if len(group) > 1:  # only the one that is to blame shall be kept aside
                return sum(self.settle([single], apply) for single in group) == len(group)
            log.exception("An event cannot be applied: %s", group[0].event)
            return self.keep_aside(group[0].delivery, f"It cannot be applied: {error!r}")
        for single in group:
            single.delivery.ack()
        return True

    def leave(self, group: Sequence[Checked[BoardEvent]], error: Exception) -> None:
        """Leave a group open; `error` says what is away."""
        log.warning("%d messages have to wait: %s", len(group), brief(error))

    def keep_aside(self, delivery: Delivery, reason: str) -> bool:
        """Keep a delivery that cannot be used among the dead letters; False if it was left open instead."""
        sender, key = origin(delivery, self._server)
        log.warning("Message %s goes to the dead letters: %s", key, reason)
        try:
            try:
                self._keep(_readable(delivery), reason, str(key), sender)
            except (ValueError, TypeError, RecursionError):  # what can be decoded cannot always be encoded
                self._keep(_raw(delivery), reason, str(key), sender)
        except Unavailable:
            return False
        delivery.ack()
        return True


def _readable(delivery: Delivery) -> Any:
    """The body for people to look at: decoded where that is possible, shortened where it is too large."""
    if len(delivery.body) <= MAX_BYTES:
        with suppress(Exception):  # as in `checked`
            return delivery.payload
    return _raw(delivery)


def _raw(delivery: Delivery) -> str:
    return repr(delivery.body[:65536])
