"""Messages that come twice, late, or in another order than they were sent.

Events of boards are copied by a queue of our own beside `events`, bound to the same exchange. To hold some back, their
kinds are unbound from `events` for a while, so that our queue alone has them; it is as durable as `events`, since a
broker that dies meanwhile loses no confirmed message either. They are published over the account of their board, with
its `user_id` and under their own key, for the server believes nothing else. Assignments and orders go through the
default exchange, to which nothing can be bound: RabbitMQ's firehose tells of them (`amq.rabbitmq.trace`).
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from amqp import Message
from kombu import Connection

from orchestrator.broker import EVENT_KINDS, EVENTS_QUEUE
from tests.servers import waiting
from tests.servers.broker import Vhost
from workties.messages import EVENTS_EXCHANGE

T = TypeVar("T")
Pause = Callable[[float], None]

#: How long messages are copied or held back, seconds. Without heartbeats, boards would soon count as silent.
COPY_SECONDS, HOLD_SECONDS = (1.0, 5.0), (1.0, 5.0)
HELD_KINDS = tuple(kind for kind in EVENT_KINDS if kind not in ("heartbeat", "bye"))
#: Old messages that are remembered, and how many of them come again at once.
REMEMBERED, OLD_AGAIN = 500, 30
#: Until a broker that is being killed by somebody else must be back, seconds.
BROKER_SECONDS = 300

_TRACE, _TO_DEFAULT = "amq.rabbitmq.trace", "publish."


@dataclass(frozen=True)
class Copy:
    """A message as it was published; `key` is its routing key."""

    key: str
    body: bytes
    properties: Mapping[str, Any]

    @property
    def board(self) -> str:
        """The board that sent an event."""
        return self.key.partition(".")[0]


class Meddler:
    """Gets at the messages of a virtual host.

    Parameters:
        vhost: whose.
        accounts: the URL of each board's account, by its id; of all boards that send anything.
    """

    def __init__(self, vhost: Vhost, accounts: Mapping[str, str]) -> None:
        self._vhost, self._accounts = vhost, accounts

    @contextmanager
    def copying(self, exchange: str, keys: Iterable[str]) -> Iterator[str]:
        """A durable queue that also gets what is published under these keys; gone afterwards."""
        queue = f"meddling.{secrets.token_hex(6)}"

        def begin(channel: Any) -> None:
            channel.queue_declare(queue, durable=True, auto_delete=False)
            for key in keys:
                channel.queue_bind(queue, exchange, key)

        self.insist(begin)
        try:
            yield queue
        finally:
            self.insist(lambda channel: channel.queue_delete(queue))

    def insist(self, act: Callable[[Any], T]) -> T:
        """Do something with a channel of the account that may do everything; again if the broker fails meanwhile."""
        return _insist(self._vhost.amqp_url, act)

    def copies(self, queue: str) -> Sequence[Copy]:
        """What is in a queue; it stays there."""

        def read(channel: Any) -> Sequence[Copy]:
            return [
                Copy(found.delivery_info["routing_key"], found.body, found.properties)
                for found in iter(lambda: channel.basic_get(queue), None)
            ]

        return self.insist(read)

    def say(self, events: Iterable[Copy]) -> None:
        """Publish events as their boards would, those of one board in this order."""
        by_board: dict[str, list[Copy]] = defaultdict(list)
        for event in events:
            by_board[event.board].append(event)
        for board, own in by_board.items():
            _insist(self._accounts[board], lambda channel, own=own: _publish(channel, EVENTS_EXCHANGE, own))

    def order(self, orders: Sequence[Copy]) -> None:
        """Publish assignments and orders as the server would."""
        self.insist(lambda channel: _publish(channel, "", orders))

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Have the broker tell what is published."""
        self._trace(True)
        try:
            yield
        finally:
            self._trace(False)

    def _trace(self, wanted: bool) -> None:
        self._vhost.broker.management.call("PUT", "vhosts", self._vhost.name, body={"tracing": wanted})


class RepeatedEvents:
    """Everything that boards say for some seconds is said again at once, and some old events much later."""

    kind = "duplicated messages"

    def __init__(self, meddler: Meddler, pause: Pause = time.sleep) -> None:
        self._meddler, self._pause = meddler, pause
        self._old: deque[Copy] = deque(maxlen=REMEMBERED)

    def strike(self, random: Random) -> str:
        """Copy and say again; what was done."""
        with self._meddler.copying(EVENTS_EXCHANGE, ["#"]) as queue:
            self._pause(random.uniform(*COPY_SECONDS))
            heard = self._meddler.copies(queue)
        old = random.sample(self._old, min(OLD_AGAIN, len(self._old)))
        self._meddler.say([*heard, *old])
        self._old.extend(heard)
        return f"{len(heard)} events came twice, and {len(old)} old ones again"


class ReorderedEvents:
    """What boards say of steps for some seconds is held back, and comes in another order while they go on talking."""

    kind = "reordered messages"

    def __init__(self, meddler: Meddler, pause: Pause = time.sleep) -> None:
        self._meddler, self._pause = meddler, pause

    def strike(self, random: Random) -> str:
        """Hold back and pass on; what was done."""
        keys = [f"*.{kind}" for kind in HELD_KINDS]
        with self._meddler.copying(EVENTS_EXCHANGE, keys) as queue:
            self._bind("queue_unbind", keys)
            try:
                self._pause(random.uniform(*HOLD_SECONDS))
            finally:
                self._bind("queue_bind", keys)
            held = list(self._meddler.copies(queue))
            random.shuffle(held)
            self._meddler.say(held)
        return f"{len(held)} events came late and in another order"

    def _bind(self, how: str, keys: Iterable[str]) -> None:
        def bind(channel: Any) -> None:
            for key in keys:
                getattr(channel, how)(EVENTS_QUEUE, EVENTS_EXCHANGE, key)

        self._meddler.insist(bind)


class RepeatedOrders:
    """All assignments and orders of some seconds come again at once, and some old ones much later."""

    kind = "duplicated orders"

    def __init__(self, meddler: Meddler, pause: Pause = time.sleep) -> None:
        self._meddler, self._pause = meddler, pause
        self._old: deque[Copy] = deque(maxlen=REMEMBERED)

    def strike(self, random: Random) -> str:
        """Copy and send again; what was done."""
        with self._meddler.tracing(), self._meddler.copying(_TRACE, [_TO_DEFAULT]) as queue:
            self._pause(random.uniform(*COPY_SECONDS))
            told = map(_told, self._meddler.copies(queue))
            sent = [order for order in told if order.key.startswith("board.")]
        old = random.sample(self._old, min(OLD_AGAIN, len(self._old)))
        self._meddler.order([*sent, *old])
        self._old.extend(sent)
        return f"{len(sent)} assignments and orders came twice, and {len(old)} old ones again"


def _told(traced: Copy) -> Copy:
    """The message that the firehose tells of."""
    about = traced.properties["application_headers"]
    properties = dict(about["properties"])
    headers = properties.pop("headers", {})
    return Copy(about["routing_keys"][0], traced.body, {**properties, "application_headers": headers})


def _publish(channel: Any, exchange: str, copies: Iterable[Copy]) -> None:
    for copy in copies:
        channel.basic_publish_confirm(Message(copy.body, **copy.properties), exchange, copy.key)


def _insist(url: str, act: Callable[[Any], T]) -> T:
    def attempt() -> tuple[T] | None:
        connection = Connection(url, connect_timeout=5, transport_options={"confirm_publish": True})
        try:
            with connection, connection.channel() as channel:
                return (act(channel),)
        except (*connection.connection_errors, *connection.channel_errors, OSError):
            return None

    return waiting.until(attempt, seconds=BROKER_SECONDS, what="the broker to do as it is told")[0]
