"""The message queue that joins the processes of the live API: RabbitMQ through kombu, JSON only.

python-socketio's manager publishes on one channel that is not made for several threads, and gives up silently while
the broker is away. This one publishes one message at a time and says when it could not.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from kombu.exceptions import KombuError, OperationalError
from socketio import KombuManager

from orchestrator.errors import Unavailable

#: Name of the fanout exchange.
CHANNEL = "workty-live"
#: How often and how fast (seconds) a lost connection is tried again before a message counts as not sent.
RETRIES = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}


class LiveQueue(KombuManager):  # type: ignore[misc]
    """Emits to, and listens for, the live API's other processes.

    Args:
        url: AMQP URL of the broker.
        write_only: for processes that serve no clients.
    """

    def __init__(self, url: str, *, write_only: bool = False) -> None:
        super().__init__(
            url,
            channel=CHANNEL,
            write_only=write_only,
            connection_options={"connect_timeout": 5},
            queue_options={"exclusive": True},
        )
        self._publishing = Lock()

    def _publish(self, data: Any) -> None:
        with self._publishing:
            connection = self.publisher_connection
            producer = connection.Producer(exchange=self._exchange())
            try:
                connection.ensure(producer, producer.publish, **RETRIES)(self.json.dumps(data), delivery_mode=1)
            except (OperationalError, KombuError, *connection.connection_errors, *connection.channel_errors) as error:
                raise Unavailable(f"The message broker ({type(error).__name__})") from error
