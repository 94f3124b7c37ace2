"""Carries live messages to Flask-SocketIO: the server in this process, or those behind a message queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_socketio import SocketIO

#: Name of the channel on the message queue.
CHANNEL = "workty-live"


class SocketEmitter:
    """Sends events to all sockets of a namespace."""

    def __init__(self, socketio: SocketIO) -> None:
        self._socketio = socketio

    @classmethod
    def for_server(cls, socketio: SocketIO) -> SocketEmitter:
        """Emits through the server of this process (and its message queue, if it has one)."""
        return cls(socketio)

    @classmethod
    def over_queue(cls, amqp_url: str) -> SocketEmitter:
        """Emits to the servers that listen on a message queue; this process serves no clients."""
        return cls(SocketIO(message_queue=amqp_url, channel=CHANNEL))

    def emit(self, event: str, payload: Mapping[str, Any], namespace: str) -> None:
        """Send to every socket of the namespace."""
        self._socketio.emit(event, dict(payload), namespace=namespace)
