"""A connection to the live API, on a small Socket.IO server that says what the test wants."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import socketio
from flask import Flask
from flask_socketio import SocketIO
from werkzeug.serving import WSGIRequestHandler, make_server

from api.client import NotReachable, Refused
from api.client.socket import ANSWER, LOST, LiveSocket, Message
from tests.servers import waiting

ACCOUNT, TOKEN = "a" * 24, "a-token"
NAMESPACE = f"/{ACCOUNT}_workflows"
#: Seconds that a message may take on a slow and busy machine.
SECONDS = 30


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def run_wsgi(self) -> None:
        super().run_wsgi()
        self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Nobody reads it."""


class Server:
    """Accepts one token; answers `sv.workflow.follow` with `count` numbered changes and an acknowledgement."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        app = Flask("stand-in", static_folder=None)
        self.io = SocketIO(app, namespaces="*", async_mode="threading")
        self.io.on("connect", namespace="*")(self._connect)
        self.io.on("sv.workflow.follow", namespace="*")(self._follow)
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet, ssl_context=tls)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._server.block_on_close = False  # type: ignore[attr-defined]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _connect(self, auth: Any = None) -> None:
        if auth != {"token": TOKEN}:
            err = {"statusCode": 401, "message": "not valid", "body": {"error": {"code": ""}}}
            raise socketio.exceptions.ConnectionRefusedError("unauthorized", {"err": err})

    def _follow(self, question: Any) -> dict[str, Any]:
        for number in range(question["count"]):
            self.io.emit("sv.workflow.changed", {"number": number}, namespace=NAMESPACE)
        return {"err": None, "count": question["count"]}


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., LiveSocket]]:
    made: list[LiveSocket] = []

    def begin(token: str = TOKEN, **options: int) -> LiveSocket:
        made.append(LiveSocket(server.url, ACCOUNT, token, **options))
        return made[-1]

    yield begin
    for connection in made:
        connection.close()


def heard(connection: LiveSocket) -> Message:
    message = connection.next(SECONDS)
    assert message is not None
    return message


def test_messages_are_heard_in_order_and_before_the_answer_that_they_belong_to(
    connect: Callable[..., LiveSocket],
) -> None:
    connection = connect()
    number = connection.ask("sv.workflow.follow", {"count": 50})
    assert [heard(connection).payload for _ in range(50)] == [{"number": n} for n in range(50)]
    assert heard(connection) == Message(ANSWER, {"err": None, "count": 50}, number)
    assert connection.next(0) is None


def test_a_token_that_is_not_valid_is_refused(connect: Callable[..., LiveSocket]) -> None:
    with pytest.raises(Refused, match="not valid") as refused:
        connect("another")
    assert refused.value.status == 401


def test_nobody_at_the_address_is_told() -> None:
    with pytest.raises(NotReachable, match="its live API does not answer"):
        LiveSocket("http://127.0.0.1:1", ACCOUNT, TOKEN)


def test_the_end_of_the_connection_is_heard_after_what_came_before(
    server: Server, connect: Callable[..., LiveSocket]
) -> None:
    connection = connect()
    connection.ask("sv.workflow.follow", {"count": 1})
    assert heard(connection).payload == {"number": 0}
    assert heard(connection).event == ANSWER
    for sid, _ in list(server.io.server.manager.get_participants(NAMESPACE, None)):
        server.io.server.disconnect(sid, namespace=NAMESPACE)
    assert heard(connection).event == LOST
    assert not connection.open
    connection.ask("sv.workflow.follow", {"count": 1})
    assert heard(connection).event == LOST
    connection.close()
    connection.close()


def test_of_more_messages_than_may_wait_the_last_are_dropped_which_is_told(connect: Callable[..., LiveSocket]) -> None:
    connection = connect(waiting_limit=20)
    connection.ask("sv.workflow.follow", {"count": 100})
    waiting.until(lambda: connection.overflowed, seconds=SECONDS, what="messages to be dropped")
    payloads = [heard(connection).payload for _ in range(20)]
    assert payloads == [{"number": n} for n in range(20)]


def test_certificates_of_ones_own_are_trusted_and_others_are_not(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    server = Server(tls)
    trusting = LiveSocket(server.url, ACCOUNT, TOKEN, str(certificate))
    assert trusting.open
    trusting.close()
    with pytest.raises(NotReachable):
        LiveSocket(server.url, ACCOUNT, TOKEN)
    server.stop()
