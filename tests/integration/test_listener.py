"""Reading a queue without a wire, as `workty up` does: what could not be applied comes again."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from queue import SimpleQueue
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from orchestrator.broker import server_app
from orchestrator.core import utc_now
from orchestrator.deliveries import Delivery
from orchestrator.listener import Listener

SECONDS = 60


@pytest.fixture
def queue() -> Queue:
    """A queue of the test's own: the queues of the in-memory broker are those of the process."""
    name = f"queue-{secrets.token_hex(4)}"
    return Queue(name, Exchange(f"{name}-exchange", "direct"), routing_key=name)


@pytest.fixture
def app() -> Iterator[Celery]:
    with closing(server_app("memory://")) as found:
        yield found


def test_messages_that_could_not_be_applied_come_again_with_those_behind_them(app: Celery, queue: Queue) -> None:
    heard: SimpleQueue[Any] = SimpleQueue()
    answers = iter([False, False])

    def apply(deliveries: Sequence[Delivery]) -> bool:
        fine = next(answers, True)
        for delivery in deliveries:
            heard.put((fine, delivery.payload))
            if fine:
                delivery.ack()
        return fine

    def declare(connection: Connection) -> None:
        queue(connection.channel()).declare()

    with app.connection_for_write() as connection:
        declare(connection)
        with connection.Producer() as producer:
            for number in (1, 2, 3):
                producer.publish(number, exchange=queue.exchange, routing_key=queue.routing_key, serializer="json")
    listener = Listener(app, queue, apply, declare, utc_now)
    listener.start()
    try:
        applied: set[int] = set()
        while applied != {1, 2, 3}:
            fine, number = heard.get(timeout=SECONDS)
            assert number not in applied
            applied |= {number} if fine else set()
    finally:
        listener.stop()
        listener.join(SECONDS)
    assert next(answers, None) is None
