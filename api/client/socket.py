"""A connection to the live API that keeps what it hears, in order, until somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import engineio
import requests
import socketio

from api.client.errors import ClientError, NotReachable, Refused

#: Seconds until a connection that is not accepted fails.
CONNECT_SECONDS = 15
#: Messages that may wait for somebody who reads slowly; those beyond are dropped, and `overflowed` says so.
WAITING_LIMIT = 2000
#: Events of the live API that are kept (live API contract, sections 1 and 6).
EVENTS = ("sv.workflow.changed", "sv.workflow.progress", "sv.workflow.log", "sv.workflow.snapshot", "unauthorized")
#: How the end of the connection, and an answer to `ask`, appear among the events.
LOST, ANSWER = "disconnect", "answer"


class _InOrder(engineio.Client):
    """Handles messages in the thread that reads them. The library starts a thread for each, and they overtake.

    Closes the socket also when the server ended the connection; the library leaves it to the garbage collector.
    """

    def _trigger_event(self, event: str, *args: Any, run_async: bool = False, **kwargs: Any) -> Any:
        return super()._trigger_event(event, *args, run_async=run_async and event != "message", **kwargs)

    def _reset(self) -> None:
        super()._reset()
        if self.ws is not None:
            self.ws.shutdown()


class OrderedSocket(socketio.Client):
    """A Socket.IO client whose handlers see messages in the order in which they came. Handlers must not wait."""

    def _engineio_client_class(self) -> type[engineio.Client]:
        return _InOrder


@dataclass(frozen=True, slots=True)
class Message:
    """What was heard: the event's name and its payload; for an answer the number of its question too."""

    event: str
    payload: Any
    number: int = 0


class LiveSocket:
    """The namespace of an account's workflows.

    Args:
        url: the server.
        account_id: the account that the token belongs to.
        token: its bearer token.
        ca_file: certificates (PEM) to trust instead of the system's.
        waiting_limit: messages that may wait to be read.

    Raises:
        NotReachable: nobody answers.
        Refused: the token is not accepted, status 401 or 403.
    """

    def __init__(
        self,
        url: str,
        account_id: str,
        token: str,
        ca_file: str | None = None,
        *,
        waiting_limit: int = WAITING_LIMIT,
    ) -> None:
        self._url = url
        self._limit = waiting_limit
        self._namespace = f"/{account_id}_workflows"
        self._heard: SimpleQueue[Message] = SimpleQueue()
        self._asked = 0
        self._refusal: object = None
        self.overflowed = False
        session = requests.Session()
        session.verify = ca_file or True
        self._socket = OrderedSocket(reconnection=False, http_session=session, handle_sigint=False)
        for event in (*EVENTS, LOST):
            self._socket.on(event, self._keep(event), namespace=self._namespace)
        self._socket.on("connect_error", self._refused, namespace=self._namespace)
        try:
            self._socket.connect(
                url,
                namespaces=[self._namespace],
                auth={"token": token},
                transports=["websocket"],
                wait_timeout=CONNECT_SECONDS,
            )
        except (socketio.exceptions.SocketIOError, OSError, ValueError) as error:
            self.close()
            raise self._why() from error

    @property
    def open(self) -> bool:
        """Whether the connection still stands."""
        return bool(self._socket.connected and self._socket.eio.state == "connected")

    def ask(self, event: str, payload: Mapping[str, Any]) -> int:
        """Send an event; its acknowledgement will be heard as `ANSWER` with the number that this returns."""
        self._asked += 1
        number = self._asked
        try:
            self._socket.emit(
                event,
                dict(payload),
                namespace=self._namespace,
                callback=lambda *answer: self._heard.put(Message(ANSWER, answer[0] if answer else None, number)),
            )
        except (socketio.exceptions.SocketIOError, OSError):
            self._heard.put(Message(LOST, None))
        return number

    def next(self, seconds: float) -> Message | None:
        """The next that was heard; None if nothing comes within `seconds`."""
        try:
            return self._heard.get(timeout=max(seconds, 0.0))
        except Empty:
            return None

    def close(self) -> None:
        """Disconnect. Harmless when repeated."""
        self._socket.disconnect()
        if self._socket.eio.http is not None:
            self._socket.eio.http.close()

    def _keep(self, event: str) -> Any:
        def keep(payload: object = None, *_: object) -> None:
            if event != LOST and self._heard.qsize() >= self._limit:
                self.overflowed = True
            else:
                self._heard.put(Message(event, payload))

        return keep

    def _refused(self, told: object = None) -> None:
        self._refusal = told

    def _why(self) -> ClientError:
        if not isinstance(self._refusal, Mapping) or self._refusal.get("message") == "unavailable":
            return NotReachable(self._url, "its live API does not answer")
        return refusal_from(self._refusal.get("data"), str(self._refusal.get("message") or "unauthorized"))


def refusal_from(data: object, message: str = "The server refused it", status: int = 401) -> Refused:
    """The error of the live API's `{"err": ...}` (contract, section 3)."""
    err = data.get("err") if isinstance(data, Mapping) else None
    if not isinstance(err, Mapping):
        return Refused(status, None, message)
    body = err.get("body")
    told = body.get("error") if isinstance(body, Mapping) else None
    code = told.get("code") if isinstance(told, Mapping) else None
    number = code if isinstance(code, int) else None
    return Refused(int(err.get("statusCode") or status), number, str(err.get("message") or message))
