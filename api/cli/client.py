"""A small client of the REST and live API, as the command line uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import engineio
import requests
import socketio

#: Seconds until a request that is not answered fails.
TIMEOUT = 30.0


class _InOrder(engineio.Client):  # type: ignore[misc]
    """Handles messages in the thread that reads them. The library starts a thread for each, and they overtake."""

    def _trigger_event(self, event: str, *args: Any, run_async: bool = False, **kwargs: Any) -> Any:
        return super()._trigger_event(event, *args, run_async=run_async and event != "message", **kwargs)


class OrderedSocket(socketio.Client):  # type: ignore[misc]
    """A Socket.IO client whose handlers see messages in the order in which they came. Handlers must not wait."""

    def _engineio_client_class(self) -> type[engineio.Client]:
        return _InOrder


class RequestFailed(Exception):
    """The server refused a request; the message is the server's."""


class Client:
    """Speaks to one server as one account.

    Args:
        url: the server, e.g. `http://127.0.0.1:9999`.
        email, password: the account; a token is fetched with them once.
    """

    def __init__(self, url: str, email: str, password: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        token = self._ask("POST", "/tokens", {}, auth=(email, password))
        self.account_id: str = token["accountId"]
        self._token: str = token["token"]
        self._session.headers["Authorization"] = f"Bearer {self._token}"

    def get(self, path: str, **query: str) -> Any:
        """GET below `/api/v1`. Raises `RequestFailed`."""
        return self._ask("GET", path, None, params=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST below `/api/v1`. Raises `RequestFailed`."""
        return self._ask("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """PUT below `/api/v1`. Raises `RequestFailed`."""
        return self._ask("PUT", path, body)

    def follow(self, told: Callable[[str, Mapping[str, Any]], None]) -> OrderedSocket:
        """A connected socket that calls `told(event, payload)` for each message about the account's workflows."""
        namespace = f"/{self.account_id}_workflows"
        socket = OrderedSocket(reconnection=True)
        for event in ("sv.workflow.changed", "sv.workflow.progress"):
            socket.on(event, lambda payload, event=event: told(event, payload), namespace=namespace)
        socket.connect(
            self.url, namespaces=[namespace], auth={"token": self._token}, transports=["websocket"], wait_timeout=15
        )
        return socket

    def close(self) -> None:
        """Give up the connections."""
        self._session.close()

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, **options: Any) -> Any:
        answer = self._session.request(method, f"{self.url}/api/v1{path}", json=body, timeout=TIMEOUT, **options)
        if answer.status_code >= requests.codes.bad_request:
            raise RequestFailed(f"{method} {path}: {answer.status_code} {_message(answer)}")
        return answer.json() if answer.content else None


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return answer.reason
