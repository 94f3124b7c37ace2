"""The message broker as the server uses it: exchange and queues, and the way down to boards.

The server declares everything; boards declare nothing. Queues are quorum queues where the broker knows them (the
in-memory transport of `workty up` ignores the arguments). Every message is persistent, confirmed by the broker, and
mandatory: one that no queue takes is an error, not a loss.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from amqp.exceptions import AccessRefused, AMQPError, ChannelError, NotAllowed
from celery import Celery
from kombu import Connection, Exchange, Queue
from kombu.exceptions import KombuError, OperationalError

from orchestrator.deliveries import KEY_HEADER, SENDER_HEADER
from orchestrator.errors import Unavailable
from workties import messages

log = logging.getLogger(__name__)

EVENTS_QUEUE = "events"
LOGS_QUEUE = "logs"
DEAD_LETTERS_QUEUE = "dead-letters"

#: Headers of a dead letter beside those that it keeps when it is replayed: why it is one, and since when (ISO 8601).
REASON_HEADER, AT_HEADER = "x-workty-reason", "x-workty-at"

#: Kinds of events that change runs or boards; `log` goes to a queue of its own.
EVENT_KINDS = ("accepted", "refused", "state", "progress", "completed", "failed", "interrupted", "heartbeat", "bye")

#: What is kept of dead letters (bytes), and of log lines (bytes, milliseconds).
KEPT_DEAD_LETTERS = {"x-max-length-bytes": 256 * 1024 * 1024}
KEPT_LOGS = {"x-max-length-bytes": 64 * 1024 * 1024, "x-message-ttl": 24 * 3600 * 1000}

#: One consumer gets all messages, in their order, and another takes its place when it goes.
ONE_READER = {"x-single-active-consumer": True}

#: Reply code of a mandatory message that no queue takes (AMQP 0-9-1, basic.return).
NO_ROUTE = 312

#: How long (seconds) the broker may take to connect when it is only asked whether it is there.
CHECK_SECONDS = 1.0

_PUBLISH = {"retry": True, "retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.2}}
_DELIVERY = {"mandatory": True, "delivery_mode": 2, "confirm_timeout": 10.0}


def server_app(url: str) -> Celery:
    """The Celery application with which the server sends tasks; it never becomes the process's current one.

    Args:
        url: AMQP URL of the broker, or `memory://` for the embedded stack.
    """
    embedded = url.startswith("memory:")
    app = Celery("workty-server", broker=url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_create_missing_queues=False,
        broker_transport_options={"polling_interval": 0.01} if embedded else {"confirm_publish": True},
        broker_connection_timeout=5,
        broker_pool_limit=16,
    )
    return app


def account(app: Celery) -> str | None:
    """The account as which an application is known to the broker; None on the embedded stack, which has no accounts."""
    connection = app.connection_for_write()
    return None if connection.transport_cls == "memory" else connection.userid or "guest"


@contextmanager
def dropped_on_error(connection: Connection) -> Iterator[None]:
    """Drops a connection on which something goes wrong in the block.

    To close it, or a channel of it, would mean to wait for an answer, and a broker that is not heard gives none.
    """
    try:
        yield
    except BaseException:
        connection.collect()
        raise


def declare(connection: Connection) -> None:
    """Declare the exchange and the queues that exist once. Idempotent."""
    exchange = Exchange(messages.EVENTS_EXCHANGE, "topic", durable=True)
    events, logs = events_queue(), logs_queue()
    with connection.channel() as channel:
        exchange(channel).declare()
        for queue in (_bounded(DEAD_LETTERS_QUEUE, KEPT_DEAD_LETTERS), events, logs):
            queue(channel).queue_declare()
        for kind in EVENT_KINDS:
            events(channel).bind_to(exchange, routing_key=f"*.{kind}")
        logs(channel).bind_to(exchange, routing_key="*.log")


def declare_board(connection: Connection, board_id: str) -> None:
    """Declare the two queues of a board. Idempotent."""
    with connection.channel() as channel:
        for name in (messages.board_queue(board_id), messages.control_queue(board_id)):
            _queue(name)(channel).queue_declare()


def events_queue() -> Queue:
    """The queue from which the orchestrator reads what boards say."""
    return _queue(EVENTS_QUEUE)


def logs_queue() -> Queue:
    """The queue from which the orchestrator reads what steps wrote."""
    return _bounded(LOGS_QUEUE, KEPT_LOGS | ONE_READER)


def _bounded(name: str, bounds: Mapping[str, Any]) -> Queue:
    """A queue that may be left unread, and may not fill the broker's disk: the oldest go first."""
    arguments = {"x-queue-type": "quorum", "x-overflow": "drop-head", **bounds}
    return Queue(name, exchange="", routing_key=name, durable=True, queue_arguments=arguments)


def _queue(name: str) -> Queue:
    arguments = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": DEAD_LETTERS_QUEUE,
    }
    return Queue(name, exchange="", routing_key=name, durable=True, queue_arguments=arguments)


class BoardSender:
    """Sends assignments and controls to boards.

    Args:
        app: from `server_app`.
        clock: the moment, UTC.
    """

    def __init__(self, app: Celery, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._app = app
        self._clock = clock

    def assign(self, assignment: messages.Assignment) -> None:
        """Send an assignment. Returns once the broker has it. Raises `Unavailable`."""
        with self._delivering(assignment.board):
            self._app.send_task(
                messages.EXECUTE_TASK,
                [messages.encode(assignment)],
                queue=Queue(messages.board_queue(assignment.board), exchange="", no_declare=True),
                declare=[],
                ignore_result=True,
                **_PUBLISH,
                **_DELIVERY,
            )

    def control(self, control: messages.Control) -> None:
        """Send a stop, pause or forget. Returns once the broker has it. Raises `Unavailable`."""
        with self._delivering(control.board), self._app.producer_or_acquire() as producer:
            producer.publish(
                messages.encode(control),
                exchange="",
                routing_key=messages.control_queue(control.board),
                serializer="json",
                **_PUBLISH,
                **_DELIVERY,
            )

    def dead_letter(self, body: Any, reason: str, routing_key: str, sender: str | None) -> None:
        """Keep a message that cannot be used, with the reason why.

        Raises `Unavailable`; ValueError, TypeError or RecursionError if JSON cannot hold the body.

        Args:
            sender: the account that sent it, as the broker says; None if it does not.
        """
        reason = reason[:1000].encode(errors="backslashreplace").decode()
        text = json.dumps({"reason": reason, "routingKey": routing_key, "message": body})
        headers = {REASON_HEADER: reason, KEY_HEADER: routing_key, AT_HEADER: self._clock().isoformat()}
        if sender is not None:
            headers[SENDER_HEADER] = sender
        with self._delivering(None), self._app.producer_or_acquire() as producer:
            producer.publish(
                text,
                exchange="",
                routing_key=DEAD_LETTERS_QUEUE,
                content_type="application/json",
                content_encoding="utf-8",
                headers=headers,
                message_id=uuid.uuid4().hex,
                **_PUBLISH,
                **_DELIVERY,
            )

    def add_board(self, board_id: str) -> None:
        """Declare the queues of a board. Raises `Unavailable`."""
        with self._delivering(None), self._app.connection_for_write() as connection:
            declare_board(connection, board_id)

    def waiting(self, timeout: float = CHECK_SECONDS) -> dict[str, int]:
        """How many events wait to be read, and how many dead letters there are, by the queue's name.

        Asked over a new connection: so the broker is there.

        Args:
            timeout: seconds for the connection.

        Raises `Unavailable`.
        """
        with self._delivering(None), self._app.connection_for_write(connect_timeout=timeout) as connection:
            connection.ensure_connection(max_retries=0, timeout=timeout)
            with connection.channel() as channel:
                queues = (events_queue(), _bounded(DEAD_LETTERS_QUEUE, KEPT_DEAD_LETTERS))
                return {q.name: int(q(channel).queue_declare(passive=True).message_count) for q in queues}

    def declare(self) -> None:
        """Declare what exists once. Raises `Unavailable`."""
        with self._delivering(None), self._app.connection_for_write() as connection:
            declare(connection)

    @contextmanager
    def _delivering(self, board_id: str | None) -> Iterator[None]:
        with reaching():
            try:
                yield
            except ChannelError as error:
                if board_id is None or error.reply_code != NO_ROUTE:
                    raise
                # The board was removed, or its queues were. Reconciliation asks again, or gives the board up.
                log.warning(
                    "Board %s has no queue; a message to it was dropped. To add a board: workty board add", board_id
                )


@contextmanager
def reaching() -> Iterator[None]:
    """Turn what is raised while the broker is away into `Unavailable`."""
    try:
        yield
    except (ChannelError, NotAllowed) as error:
        raise Unavailable(f"The message broker ({_refusal(error)})") from error
    except (OperationalError, KombuError, AMQPError, OSError) as error:
        raise Unavailable(f"The message broker ({type(error).__name__})") from error


def _refusal(error: AMQPError) -> str:
    refused = error.reply_code in {AccessRefused.code, NotAllowed.code}
    return f"it refuses the account or virtual host in WORKTY_AMQP_URL: {error.reply_text}" if refused else str(error)
