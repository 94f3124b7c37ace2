"""Sends what a board has to say: stored events in order and until confirmed, progress and heartbeats when connected.

One thread with a connection of its own, woken when there is something to send. What is said, and what is stored, is
decided elsewhere.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from kombu import Connection, Producer

from worker_agent.broker import TIMEOUT, Broker, connect, dropped_on_error, explain, wait_after
from worker_agent.journal import Journal
from worker_agent.progress import ProgressGate
from worker_agent.records import Key
from workties.messages import EVENTS_EXCHANGE, Heartbeat, Progress, encode
from workties.process_log import about

logger = logging.getLogger(__name__)

#: Events sent before heartbeats and progress get their turn again.
_BATCH = 100
#: Quiet seconds after which confirmed events are struck out of the journal.
_IDLE = 5.0


@dataclass(frozen=True, slots=True)
class _Passing:
    """A numbered progress event: to be sent after the stored event `after`, or dropped."""

    after: int
    body: str


class Publisher:
    """The voice of one board.

    Args:
        board: id of the board; also its account on the broker.
        broker: where to send.
        journal: has the stored events.
        heartbeat: makes a heartbeat; called every `heartbeat_seconds` and at once when connected.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        board: str,
        broker: Broker,
        journal: Journal,
        heartbeat: Callable[[], Heartbeat],
        *,
        heartbeat_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board, self._broker, self._journal = board, broker, journal
        self._heartbeat, self._heartbeat_seconds, self._clock = heartbeat, heartbeat_seconds, clock
        self._gate = ProgressGate(clock)
        self._changed = threading.Condition()
        self._work = True
        self._hushed = self._stopping = False
        self._farewell: Callable[[], Heartbeat] | None = None
        self._passing: list[_Passing] = []
        self._connected = False
        self._beat_at = 0.0
        self._flush_at: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"publisher-{board}", daemon=True)

    def start(self) -> None:
        """Begin to connect and send."""
        self._thread.start()

    def hush(self) -> None:
        """No heartbeat from now on; what is stored goes on being sent."""
        with self._changed:
            self._hushed = True
            self._changed.notify_all()

    def stop(self, farewell: Callable[[], Heartbeat], deadline_seconds: float) -> bool:
        """Send what is stored and then what `farewell` makes, and end. False if that did not work out in time."""
        with self._changed:
            self._hushed, self._stopping, self._farewell = True, True, farewell
            self._changed.notify_all()
        self._thread.join(deadline_seconds)
        return self._farewell is None

    def wake(self) -> None:
        """There is something new to send."""
        with self._changed:
            self._work = True
            self._changed.notify_all()

    def progress(self, key: Key, progress: float, message: str) -> None:
        """A step is this far. Told soon, unless something newer comes first or nobody can be told."""
        self._gate.put(key, progress, message)
        with self._changed:
            self._changed.notify_all()

    def settle(self, key: Key) -> None:
        """A step is about to end: its last progress goes before its final event or not at all."""
        self._number([found for found in [self._gate.last(key)] if found])

    # --- the thread

    def _run(self) -> None:
        with about(board=self._board):
            self._keep_sending()

    def _keep_sending(self) -> None:
        failures = 0
        while not self._stopping or failures == 0:
            try:
                with self._broker.connection() as connection, dropped_on_error(connection):
                    connect(connection)
                    logger.info("Connected to the broker")
                    failures = 0
                    self._serve(connection)
                    return
            except Exception as error:  # whatever it is, a board goes on trying
                failures += 1
                expected = isinstance(error, OSError | TimeoutError) or hasattr(error, "reply_code")
                logger.warning("%s", explain(error, self._board), exc_info=None if expected else error)
            self._disconnected(wait_after(failures))

    def _disconnected(self, seconds: float) -> None:
        with self._changed:
            self._connected = False
            self._passing.clear()
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _serve(self, connection: Connection) -> None:
        producer = Producer(connection.channel(), auto_declare=False)
        with self._changed:
            self._connected, self._work = True, True
        self._beat_at = self._clock()
        while True:
            self._send_heartbeat(producer)
            self._number(self._gate.due())
            if self._send_stored(producer):
                continue
            with self._changed:
                if self._stopping and not self._work:
                    break
                self._changed.wait_for(self._awaited, self._patience())
        self._journal.flush()
        if self._farewell:
            last = self._farewell()
            self._send(producer, last.kind, json.dumps(encode(last)))
            self._farewell = None

    def _awaited(self) -> bool:
        due = self._gate.next_due()
        return self._work or self._stopping or bool(self._passing) or (due is not None and due <= self._clock())

    def _patience(self) -> float | None:
        """Seconds until something is due without being woken; None if nothing is."""
        times = [None if self._hushed else self._beat_at, self._gate.next_due(), self._flush_at]
        until = min((found for found in times if found is not None), default=None)
        return None if until is None else max(0.0, until - self._clock())

    def _send_heartbeat(self, producer: Producer) -> None:
        now = self._clock()
        if now >= self._beat_at and not self._hushed:
            self._beat_at = now + self._heartbeat_seconds
            beat = self._heartbeat()
            self._send(producer, beat.kind, json.dumps(encode(beat)))
        if self._flush_at is not None and now >= self._flush_at:
            self._flush_at = None
            self._journal.flush()

    def _send_stored(self, producer: Producer) -> bool:
        """Send one batch of stored events with the progress between them. True if there may be more."""
        with self._changed:
            self._work = False
        events, upto = self._journal.unsent(_BATCH)
        sent = []
        try:
            for event in events:
                self._send_passing(producer, event.id - 1)
                self._send(producer, event.kind, event.body)
                sent.append(event.id)
            self._send_passing(producer, upto)
        finally:
            if sent:
                self._journal.confirm(sent)
                self._flush_at = self._clock() + _IDLE
        return len(events) == _BATCH

    def _send_passing(self, producer: Producer, upto: int) -> None:
        """Send progress that comes before the stored event after `upto`."""
        with self._changed:
            ready = [found for found in self._passing if found.after <= upto]
            self._passing = [found for found in self._passing if found.after > upto]
        for found in ready:
            self._send(producer, Progress.kind, found.body)

    def _number(self, due: list[tuple[Key, float, str]]) -> None:
        if not self._connected:
            return
        for key, progress, message in due:
            numbered = self._journal.number(key)
            if numbered:
                stamp, after = numbered
                body = json.dumps(encode(Progress(**stamp, progress=progress, message=message)))
                with self._changed:
                    self._passing.append(_Passing(after, body))

    def _send(self, producer: Producer, kind: str, body: str) -> None:
        producer.publish(
            body,
            exchange=EVENTS_EXCHANGE,
            routing_key=f"{self._board}.{kind}",
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            user_id=self._board,
            confirm_timeout=TIMEOUT,
        )
