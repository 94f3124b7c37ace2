"""Reads a queue of boards' messages in a thread: connects, gathers batches, hands them on, and knows whether the broker
is heard.

What the messages mean is the affair of whoever takes the batches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

from celery import Celery
from kombu import Connection, Consumer, Queue

from orchestrator.broker import dropped_on_error
from orchestrator.deliveries import Delivery

log = logging.getLogger(__name__)

#: Most deliveries in one batch, and how many the broker sends ahead.
BATCH = 100
PREFETCH = 200
#: How long (seconds) one wait for a delivery takes before the connection is looked after.
WAIT = 0.5
#: How long (seconds) it waits after a batch that could not be applied.
RETRY = 1.0
#: First and longest wait (seconds) between two tries to connect; each is twice the one before.
FIRST_WAIT, LONGEST_WAIT = 0.2, 2.0
#: AMQP heartbeat (seconds); the broker sends a frame each half of it.
AMQP_HEARTBEAT = 4
#: Without any byte from the broker, or with a queue that is never read to its end, for this long (seconds), the silence
#: of boards does not count.
DEAF_SECONDS = 5.0


class Listener:
    """Consumes a queue until stopped, across any loss of the connection.

    Args:
        app: from `broker.server_app`.
        queue: what to read, one that `declare` declares; it names the thread.
        apply: takes a batch of deliveries and acknowledges them; False if it left some open, e.g. without database.
        declare: declares exchange and queues; called after each connect.
        clock: the moment, UTC.
    """

    def __init__(
        self,
        app: Celery,
        queue: Queue,
        apply: Callable[[Sequence[Delivery]], bool],
        declare: Callable[[Connection], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._app = app
        self._queue = queue
        self._apply = apply
        self._declare = declare
        self._clock = clock
        self._stopping = Event()
        self._connected = Event()
        self._thread = Thread(target=self._run, name=queue.name, daemon=True)
        self._listening_since: datetime | None = None
        self._heard: datetime | None = None
        self._bytes = -1

    def start(self) -> None:
        """Begin in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Have it stop after the present batch; returns at once."""
        self._stopping.set()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until it has stopped."""
        self._thread.join(timeout)

    def wait_until_connected(self, timeout: float) -> bool:
        """Whether the queue was being read within `timeout` seconds."""
        return self._connected.wait(timeout)

    @property
    def read_until(self) -> datetime | None:
        """The moment up to which the queue has been read to its end; None before the first time."""
        return self._heard

    def silent_since(self) -> datetime | None:
        """The moment from which silence of boards counts; None while the broker itself is not heard."""
        since, heard = self._listening_since, self._heard
        if since is None or heard is None or self._clock() - heard > timedelta(seconds=DEAF_SECONDS):
            return None
        return since

    def _run(self) -> None:
        pause = FIRST_WAIT
        while not self._stopping.is_set():
            try:
                with self._app.connection_for_read(heartbeat=AMQP_HEARTBEAT) as connection:
                    connection.connect()
                    self._declare(connection)
                    pause = FIRST_WAIT
                    self._consume(connection)
            except (*Connection().connection_errors, *Connection().channel_errors, OSError) as error:
                log.warning("The message broker is not reachable (%s). Trying again", type(error).__name__)
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_WAIT)
            except Exception:  # a fault in the program: nobody else would read on
                log.exception("Reading queue '%s' went wrong. Beginning again", self._queue.name)
                self._stopping.wait(RETRY)
            finally:
                self._listening_since = None
                self._connected.clear()

    def _consume(self, connection: Connection) -> None:
        self._heard = self._listening_since = self._clock()
        while not self._stopping.is_set():
            with connection.channel() as channel, dropped_on_error(connection):
                self._read(connection, channel)
            self._stopping.wait(RETRY)

    def _read(self, connection: Connection, channel: Any) -> None:
        """Read until stopped, or until a batch could not be applied.

        What is open then goes back to the broker as the channel is closed, with what was sent ahead: all of it
        together, so that messages keep their order, and that another reader may try.
        """
        waiting: list[Delivery] = []
        # Not cancelled at its end: the next reader must not begin before the broker has back what is open here.
        _leave_compressed(channel)
        consumer = Consumer(channel, [self._queue], on_message=waiting.append, prefetch_count=PREFETCH)
        consumer.consume()
        self._connected.set()
        while not self._stopping.is_set():
            read_all = self._gather(connection, waiting)
            if waiting and not self._apply(waiting):
                if _bytes_received(connection) is None:  # without a wire, nobody notices that the channel closes
                    consumer.recover(requeue=True)
                return
            waiting.clear()
            self._note_heard(connection, read_all)

    def _gather(self, connection: Connection, waiting: list[Delivery]) -> bool:
        """Wait for a delivery and take what has come with it; whether nothing more was there."""
        timeout = WAIT
        while len(waiting) < BATCH:
            try:
                connection.drain_events(timeout=timeout)
            except TimeoutError:
                return True
            timeout = 0.001
        return False

    def _note_heard(self, connection: Connection, read_all: bool) -> None:
        connection.heartbeat_check()
        received = _bytes_received(connection)
        now = self._clock()
        deaf = self._heard is None or now - self._heard > timedelta(seconds=DEAF_SECONDS)
        if read_all and (received is None or received != self._bytes):
            self._bytes = received or 0
            self._heard = now
            if deaf:
                self._listening_since = now


def _leave_compressed(channel: Any) -> None:
    """Have bodies stay as they were sent. Boards compress nothing, and a small body may unpack to gigabytes."""
    to_python = channel.message_to_python

    def as_sent(raw: Any) -> Any:
        headers = getattr(raw, "properties", {}).get("application_headers") or {}
        headers.pop("compression", None)
        return to_python(raw)

    channel.message_to_python = as_sent


def _bytes_received(connection: Connection) -> int | None:
    """Bytes that came from the broker; None for transports without a wire."""
    found: Any = getattr(connection.connection, "bytes_recv", None)
    return int(found) if found is not None else None
