"""The way to live clients: those of this process, and those of others behind the message queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.live.queue import LiveQueue
from api.live.sessions import Hub


class Channel:
    """Sends to namespaces.

    Args:
        amqp_url: the broker that joins the processes; None if there is only this one.
        serves: whether this process serves clients.
    """

    def __init__(self, amqp_url: str | None = None, *, serves: bool = True) -> None:
        self.hub = Hub()
        self.queue = LiveQueue(amqp_url, self.hub.deliver if serves else None) if amqp_url else None

    def emit(self, event: str, payload: Mapping[str, Any], namespace: str) -> None:
        """Send to every socket of the namespace. Raises `Unavailable` while the message queue is away."""
        if self.queue is None:
            self.hub.deliver(event, payload, namespace)
        else:
            self.queue.emit(event, dict(payload), namespace=namespace)
