"""A server of packages, the server's side of a broker (in memory or real), and simulated boards."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Consumer, Exchange, Queue
from kombu.transport.memory import Channel, Transport

from worker_agent.agent import SimulatedBoards
from worker_agent.settings import AgentSettings, IsolationSettings
from workties.messages import EVENTS_EXCHANGE, EXECUTE_TASK, board_queue, control_queue

MEMORY = {"polling_interval": 0.01}
EVENTS = Queue("events", Exchange(EVENTS_EXCHANGE, "topic"), routing_key="#")


class PackageServer:
    """Serves packages by their digest."""

    def __init__(self) -> None:
        packages: dict[str, bytes] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = packages.get(self.path)
                self.send_response(200 if data is not None else 404)
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *args: object) -> None:
                pass

        self._packages = packages
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def offer(self, data: bytes) -> dict[str, Any]:
        """Serve `data`; what an assignment says about it."""
        digest = hashlib.sha256(data).hexdigest()
        self._packages[f"/{digest}"] = data
        return {"sha256": digest, "size": len(data), "url": f"{self.url}/{digest}", "urlExpires": "2100-01-01"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Server:
    """The server's side: sends assignments and orders, hears every event."""

    def __init__(
        self,
        packages: PackageServer,
        directory: Path,
        connection: Connection | None = None,
        queues: Sequence[Queue] = (EVENTS,),
    ) -> None:
        self.packages, self._directory = packages, directory
        self._connection = connection or Connection("memory://", transport_options=MEMORY)
        self._app = Celery("server", broker=self._connection.as_uri(include_password=True), set_as_current=False)
        self._app.conf.broker_transport_options = MEMORY
        self.heard: list[dict[str, Any]] = []
        self.authors: set[str | None] = set()
        self._consumer = Consumer(self._connection.channel(), queues, callbacks=[self._hear], accept=["json"])
        self._consumer.consume()

    def settings(self, board: str, **values: Any) -> AgentSettings:
        """Settings of a board, whose queues then exist."""
        channel = self._connection.default_channel
        for name in (board_queue(board), control_queue(board)):
            Queue(name, Exchange(""), routing_key=name)(channel).queue_declare()
        state_dir = self._directory / board
        # Some steps write where the tests look; how steps are isolated has tests of its own.
        plain = IsolationSettings(sandbox="none", step_account=os.getuid())
        wanted = {"slots": 2, "heartbeat_seconds": 0.5, "isolation": plain, **values}
        return AgentSettings(
            amqp_url="memory://", board_id=board, server_url=self.packages.url, state_dir=state_dir, **wanted
        )

    def assign(self, board: str, data: bytes | None, **values: Any) -> dict[str, Any]:
        """Send an assignment; returns it."""
        body = {
            **self._head(board),
            "run": "run-1",
            "instance": uuid.uuid4().hex[:24],
            "workflow": "workflow-1",
            "workty": {"id": "w1", "name": "tested", "version": "1", "language": "python", "entry": "main.py"},
            "package": self.packages.offer(data) if data is not None else None,
            "properties": [],
            "checkpoint": None,
            "limits": {"wall": 30, "cpu": 30, "grace": 0.3},
            **values,
        }
        self.deliver(board, body)
        return body

    def deliver(self, board: str, body: object) -> None:
        """Send a body as an assignment."""
        queue = Queue(board_queue(board), exchange="", routing_key=board_queue(board), no_declare=True)
        self._app.send_task(EXECUTE_TASK, [body], queue=queue, ignore_result=True)

    def order(self, board: str, command: str, assignment: dict[str, Any], **values: Any) -> None:
        """Send a stop, pause or forget."""
        names = {name: assignment[name] for name in ("run", "instance", "attempt")}
        body = {**self._head(board), **names, "kind": "control", "command": command, **values}
        with self._connection.Producer() as producer:
            producer.publish(body, exchange="", routing_key=control_queue(board), serializer="json")

    def hear(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 10.0) -> dict[str, Any]:
        """The next event, or one heard before, that is wanted."""
        until = time.monotonic() + seconds
        seen = 0
        while True:
            for event in self.heard[seen:]:
                if wanted(event):
                    return event
            seen = len(self.heard)
            left = until - time.monotonic()
            assert left > 0, f"not heard in {seconds} s; heard {[e['kind'] for e in self.heard]}"
            try:
                self._connection.drain_events(timeout=left)
            except TimeoutError:
                continue

    def hear_final(self, assignment: dict[str, Any], seconds: float = 10.0) -> dict[str, Any]:
        """The final event of an attempt."""
        finals = ("completed", "failed", "interrupted", "refused")
        return self.hear(lambda event: event["kind"] in finals and same(event, assignment), seconds)

    def events(self, assignment: dict[str, Any]) -> list[dict[str, Any]]:
        """Everything heard of an attempt, in order."""
        return [event for event in self.heard if same(event, assignment)]

    def close(self) -> None:
        self._connection.close()
        self._app.close()

    def _head(self, board: str) -> dict[str, Any]:
        return {"v": 1, "id": uuid.uuid4().hex, "at": "now", "board": board, "attempt": 1, "seq": 1}

    def _hear(self, body: dict[str, Any], message: Any) -> None:
        self.authors.add(message.properties.get("user_id"))
        self.heard.append(body)
        message.ack()


def same(event: dict[str, Any], assignment: dict[str, Any]) -> bool:
    """Whether both are about the same attempt."""
    return all(event[name] == assignment[name] for name in ("run", "instance", "attempt"))


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes the server's side, on the in-memory broker or with a connection given."""
    with ExitStack() as stack:

        def make(*given: Any) -> Server:
            packages = PackageServer()
            stack.callback(packages.close)
            found = Server(packages, tmp_path, *given)
            stack.callback(found.close)
            return found

        yield make


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    Transport.global_state.clear()
    Channel.queues.clear()
    return make_server()


@pytest.fixture
def start(server: Server) -> Iterator[Callable[..., SimulatedBoards]]:
    """Starts simulated boards; all of them are stopped in the end."""
    started: list[SimulatedBoards] = []

    def begin(*settings: AgentSettings) -> SimulatedBoards:
        boards = SimulatedBoards(settings)
        assert boards.start(), "the boards did not begin to consume"
        started.append(boards)
        return boards

    yield begin
    for boards in started:
        boards.stop()
