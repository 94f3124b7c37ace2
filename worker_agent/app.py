"""The Celery app of a board: consumes assignments and orders, and leaves what they mean to `intake`.

One app may serve many boards of one process, since Celery finds the task in the one current app of a thread.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery, bootsteps
from celery.exceptions import Reject
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks
from celery.worker.state import maybe_shutdown
from kombu import Consumer as QueueConsumer
from kombu import Queue

from worker_agent.broker import HEARTBEAT, TIMEOUT, Broker, connect, explain, wait_after
from worker_agent.errors import JournalUnavailable
from worker_agent.intake import Intake
from worker_agent.stopping import StopSignal
from workties.errors import BadMessage
from workties.messages import EXECUTE_TASK, board_queue, control_queue

logger = logging.getLogger(__name__)


def build_app(broker: Broker, intake: Intake, stopping: StopSignal) -> Celery:
    """An app that consumes what comes for the boards of `intake`.

    Args:
        stopping: set when the agent stops; ends waits between tries to reach the broker.
    """
    app = Celery("workty-board", broker=broker.url, set_as_current=False)
    app.conf.update(_configuration(broker, intake.board_ids))
    app.conf.worker_consumer = _consumer(intake, stopping)
    if not broker.is_amqp:
        app.conf.worker_consumer.loop = staticmethod(_memory_loop)

    @app.task(name=EXECUTE_TASK, acks_late=True, reject_on_worker_lost=True, ignore_result=True, shared=False)
    def execute(assignment: object) -> None:
        """Take charge of a step. It is in the journal, and answered, when this returns and acknowledges it."""
        try:
            intake.assignment(assignment)
        except BadMessage as error:
            logger.error("An assignment makes no sense and goes to the dead letters: %s", error.reason)
            raise Reject(error.reason, requeue=False) from None
        except JournalUnavailable as error:
            logger.error("An assignment was not taken, the server sends it again. %s", error)
            raise Reject(str(error), requeue=False) from None

    return app


def _configuration(broker: Broker, boards: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_queues": [_queue(board_queue(board)) for board in boards],
        "task_create_missing_queues": False,
        "task_ignore_result": True,
        "task_acks_on_failure_or_timeout": False,
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_detect_quorum_queues": False,
        "worker_enable_prefetch_count_reduction": False,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_hijack_root_logger": False,
        "broker_connection_retry_on_startup": True,
        "broker_channel_error_retry": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": TIMEOUT,
        "broker_heartbeat": HEARTBEAT,
        "broker_transport_options": broker.transport_options,
        "broker_use_ssl": broker.tls,
    }


def _queue(name: str) -> Queue:
    """A queue that the server declared; a board may not."""
    return Queue(name, exchange="", routing_key=name, no_declare=True)


def _memory_loop(obj: Consumer, connection: Any, consumer: Any, blueprint: Any, *_: object) -> None:
    """What Celery's loop does, for the in-memory transport; Celery's own takes up to 4 s to see a wish to stop."""
    consumer.on_message = obj.create_task_handler()
    consumer.consume()
    obj.on_ready()
    while blueprint.state == bootsteps.RUN:
        maybe_shutdown()
        obj.perform_pending_operations()
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=0.1)


class _QuorumTasks(Tasks):
    """Consumes assignments. Quorum queues refuse a prefetch count for the whole channel."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def qos_global(self, c: Consumer) -> bool:
        """No."""
        return False


def _control_queues(intake: Intake) -> type[bootsteps.ConsumerStep]:
    """The part of Celery's consumer that receives orders."""

    class ControlQueues(bootsteps.ConsumerStep):
        """Consumes orders."""

        requires = (_QuorumTasks,)

        def get_consumers(self, channel: Any) -> list[QueueConsumer]:
            """One consumer for the control queues of all boards."""
            queues = [_queue(control_queue(board)) for board in intake.board_ids]
            return [
                QueueConsumer(
                    channel,
                    queues,
                    callbacks=[self._receive],
                    accept=["json"],
                    auto_declare=False,
                    on_decode_error=_reject,
                )
            ]

        def _receive(self, body: object, message: Any) -> None:
            try:
                intake.control(body)
            except BadMessage as error:
                logger.error("An order makes no sense and goes to the dead letters: %s", error.reason)
                message.reject()
            except JournalUnavailable as error:
                logger.error("An order was not carried out, the server sends it again. %s", error)
                message.reject()
            except Exception:
                logger.exception("An order could not be carried out; the server asks again")
                message.reject()
            else:
                message.ack()

    return ControlQueues


def _reject(message: Any, error: Exception) -> None:
    """Leave what cannot be read to the dead letters."""
    logger.error("A message cannot be read and goes to the dead letters: %s", error)
    message.reject()


class _Reading(Consumer):
    """Rejects what it cannot read: Celery's own acknowledges some of it, and some ends its connection for ever."""

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """The body cannot be decoded."""
        _reject(message, exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """What takes messages."""
        handle = super().create_task_handler(*args, **kwargs)

        def guarded(message: Any) -> None:
            try:
                handle(message)
            except Exception as error:  # whatever Celery makes of e.g. a task without arguments
                _reject(message, error)

        return guarded


def _consumer(intake: Intake, stopping: StopSignal) -> type[Consumer]:
    """Celery's consumer with only the parts a board needs: one connection, two kinds of queues."""

    class BoardConsumer(_Reading):
        """Says clearly why the broker refuses, and waits before it tries again."""

        event_dispatcher = None

        class Blueprint(bootsteps.Blueprint):
            """Leaves out what boards may not or need not do: gossip, mingle, events, delayed delivery."""

            name = "BoardConsumer"
            default_steps = (
                "celery.worker.consumer.connection:Connection",
                _QuorumTasks,
                _control_queues(intake),
                "celery.worker.consumer.consumer:Evloop",
            )

            def shutdown(self, parent: Any) -> None:
                """As Celery's own."""
                self.send_all(parent, "shutdown")

        def on_ready(self) -> None:
            """Everything is consumed."""
            self._failures = 0
            super().on_ready()

        def call_soon(self, p: Any, *args: Any, **kwargs: Any) -> Any:
            """Now. Celery's loop may go to sleep for 10 s before it acknowledges what it has just handled."""
            return p(*args, **kwargs)

        #: The same since Celery 5.7, which has a name of its own for acknowledgements.
        call_soon_ack = call_soon

        def ensure_connected(self, conn: Any) -> Any:
            """One try; Celery's own tries wait longer and longer, and the server counts a silent board as lost."""
            connect(conn)
            return conn

        def register_with_event_loop(self, hub: Any) -> None:
            """A wish to stop wakes Celery's loop."""
            super().register_with_event_loop(hub)
            hub.add_reader(stopping.fileno(), lambda: None)

        def on_connection_error_before_connected(self, exc: Exception) -> None:
            """Not let in; the publishers, which are not let in either, say why."""
            self._wait()

        def on_connection_error_after_connected(self, exc: Exception) -> None:
            """Let in, and then refused or cut off."""
            super().on_connection_error_after_connected(exc)
            for board in intake.board_ids:
                logger.warning("%s", explain(exc, board))
            self._wait()

        def _wait(self) -> None:
            self._failures = getattr(self, "_failures", 0) + 1
            stopping.wait(wait_after(self._failures))

    return BoardConsumer
