"""The message queue that joins the processes of the live API: RabbitMQ through kombu, JSON only.

python-socketio's manager publishes on one channel that is not made for several threads, gives up silently while the
broker is away, and hands messages to the library's rooms. This one publishes one message at a time, returns when the
broker has it (so that of two messages, one told after the other by different processes, none overtakes), says when it
could not, and hands messages to the process's own `Hub`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from queue import Empty
from threading import Lock
from typing import Any

import kombu
from kombu.exceptions import KombuError, OperationalError
from socketio import KombuManager

from orchestrator.broker import dropped_on_error
from orchestrator.errors import Unavailable

#: Name of the fanout exchange.
CHANNEL = "workty-live"
#: How often and how fast (seconds) a lost connection is tried again before a message counts as not sent.
RETRIES = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}

#: AMQP heartbeat (seconds) of the connection that listens.
HEARTBEAT = 8
#: How long (seconds) the broker may take to confirm a message before a new connection is tried; nobody else publishes
#: meanwhile.
CONFIRM_SECONDS = 5.0
#: First and longest wait (seconds) between two tries to listen again; what is told meanwhile is missed by clients that
#: follow nothing.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0

log = logging.getLogger("workty.api")

Deliver = Callable[[str, Mapping[str, Any], str], None]


class LiveQueue(KombuManager):  # type: ignore[misc]
    """Emits to, and listens for, the live API's other processes.

    Args:
        url: AMQP URL of the broker.
        deliver: gives a message to the clients of this process; None for processes that serve none.

    `missed` is called when messages of others may have been missed, because the broker was away.
    """

    def __init__(self, url: str, deliver: Deliver | None) -> None:
        super().__init__(
            url,
            channel=CHANNEL,
            write_only=deliver is None,
            connection_options={"connect_timeout": 5, "transport_options": {"confirm_publish": True}},
            queue_options={"exclusive": True},
        )
        self._deliver = deliver
        self.missed: Callable[[], None] = lambda: None
        self._publishing = Lock()

    def _connection(self) -> kombu.Connection:
        return kombu.Connection(self.url, heartbeat=HEARTBEAT, **self.connection_options)

    def _handle_emit(self, message: Mapping[str, Any]) -> None:
        if self._deliver is not None:
            self._deliver(message["event"], message["data"][0], message["namespace"])

    def _publish(self, data: Any) -> None:
        with self._publishing:
            connection = self.publisher_connection
            producer = connection.Producer(exchange=self._exchange())
            try:
                publish = connection.ensure(producer, producer.publish, **RETRIES)
                publish(self.json.dumps(data), delivery_mode=1, confirm_timeout=CONFIRM_SECONDS)
            except (OperationalError, KombuError, *connection.connection_errors, *connection.channel_errors) as error:
                raise Unavailable(f"The message broker ({type(error).__name__})") from error

    def _listen(self) -> Iterator[Any]:
        """The messages of the others, across any loss of the connection."""
        began, pause = False, _FIRST_PAUSE
        while True:
            try:
                with (
                    self._connection() as connection,
                    connection.SimpleQueue(self._queue()) as messages,
                    dropped_on_error(connection),
                ):
                    if began:
                        self.missed()
                    began, pause = True, _FIRST_PAUSE
                    yield from _read(connection, messages)
            except (*kombu.Connection().connection_errors, *kombu.Connection().channel_errors, OSError) as error:
                log.warning("Live messages of other processes are not heard (%s). Trying again", type(error).__name__)
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)


def _read(connection: kombu.Connection, messages: Any) -> Iterator[Any]:
    while True:
        try:
            message = messages.get(timeout=HEARTBEAT / 4)
        except Empty:
            connection.heartbeat_check()
            continue
        message.ack()
        yield message.payload
