"""A client of the live API as tests play one: a real python-socketio client over a real port."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from typing import Any

import socketio

from api.client.socket import OrderedSocket
from api.live.connecting import ENTITIES

#: Seconds that something may take on a slow and busy machine.
PATIENCE = 20.0


class LiveClient:
    """One connection that opens namespaces of one account and keeps what it hears, in order.

    Args:
        url: the server.
        issued: the answer to `POST /tokens`.
        contexts: the contexts to open.
    """

    def __init__(self, url: str, issued: dict[str, Any], *contexts: str, transport: str = "websocket") -> None:
        self.account = issued["accountId"]
        self.heard: list[tuple[str, str, Any]] = []
        self._news = Condition()
        self.socket = OrderedSocket(reconnection=False)
        for context in contexts:
            self.socket.on("*", self._keep(context), namespace=f"/{self.account}_{context}")
            self.socket.on("disconnect", self._closed(context), namespace=f"/{self.account}_{context}")
        self.socket.connect(
            url,
            auth={"token": issued["token"]},
            namespaces=[f"/{self.account}_{context}" for context in contexts],
            transports=[transport],
            wait_timeout=PATIENCE,
        )
        for context in contexts:
            self.next(context, f"sv.{ENTITIES[context]}.initialized")

    def __enter__(self) -> LiveClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.disconnect()
        self.socket.eio.disconnect()
        # What the server has closed the library leaves open.
        if self.socket.eio.ws is not None:
            self.socket.eio.ws.shutdown()
        if self.socket.eio.http is not None:
            self.socket.eio.http.close()

    def ask(self, context: str, event: str, payload: Any = None) -> Any:
        """Send a request; the acknowledgement, which comes after what it caused was sent to this client."""
        sent = () if payload is None else payload
        return self.socket.call(event, sent, namespace=f"/{self.account}_{context}", timeout=PATIENCE)

    def next(self, context: str, event: str, wanted: Callable[[Any], bool] = lambda payload: True) -> Any:
        """Take the first message of this event that is wanted; waits for it."""

        def found() -> tuple[str, str, Any] | None:
            return next((m for m in self.heard if m[:2] == (context, event) and wanted(m[2])), None)

        with self._news:
            message = self._news.wait_for(found, timeout=PATIENCE)
            assert message is not None, f"no {event} in {context} within {PATIENCE} s; heard {self.heard}"
            self.heard.remove(message)
            return message[2]

    def taken(self, context: str, event: str) -> list[Any]:
        """Take all messages of this event that have come so far."""
        with self._news:
            found = [m[2] for m in self.heard if m[:2] == (context, event)]
            self.heard = [m for m in self.heard if m[:2] != (context, event)]
            return found

    def until_closed(self, context: str) -> None:
        """Wait until the server has closed a namespace."""
        self.next(context, "disconnect")

    def _keep(self, context: str) -> Any:
        return lambda event, payload=None: self._hear((context, event, payload))

    def _closed(self, context: str) -> Any:
        return lambda *reason: self._hear((context, "disconnect", reason))

    def _hear(self, message: tuple[str, str, Any]) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()


def refused(url: str, namespace: str, auth: Any) -> Any:
    """Why a namespace is not opened; None if it is."""
    told: list[Any] = []
    client = OrderedSocket(reconnection=False)
    client.on("connect_error", told.append, namespace=namespace)
    try:
        client.connect(url, auth=auth, namespaces=[namespace], transports=["websocket"], wait_timeout=PATIENCE)
    except socketio.exceptions.ConnectionError:
        return told[0]
    finally:
        client.disconnect()
        client.eio.disconnect()
    return None
