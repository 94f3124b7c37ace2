"""Carries the core's live messages to the sockets: those of the server in this process, or those behind the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_socketio import SocketIO

from api.live.queue import LiveQueue


class SocketEmitter:
    """Sends events to all sockets of a namespace, through the server of this process (and its queue, if it has one)."""

    def __init__(self, socketio: SocketIO) -> None:
        self._socketio = socketio

    def emit(self, event: str, payload: Mapping[str, Any], namespace: str) -> None:
        """Send to every socket of the namespace. Raises `Unavailable` while the message queue is away."""
        self._socketio.emit(event, dict(payload), namespace=namespace)


class QueueEmitter:
    """Sends events to all sockets of a namespace, through the message queue; this process serves no clients."""

    def __init__(self, amqp_url: str) -> None:
        self._queue = LiveQueue(amqp_url, write_only=True)

    def emit(self, event: str, payload: Mapping[str, Any], namespace: str) -> None:
        """Send to every socket of the namespace. Raises `Unavailable` while the message queue is away."""
        self._queue.emit(event, dict(payload), namespace=namespace)
