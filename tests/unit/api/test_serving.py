"""The two ways to serve the application."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from api.client.socket import OrderedSocket
from api.server import listen, serve_threaded

GUNICORN = """
import signal, sys, threading
sys.path.insert(0, {folder!r})
import conftest
from api.server import listen, serve_gunicorn
world = conftest.new_world()
issued = world.admin.post("/tokens").get_json()
listener = listen("127.0.0.1", 0)
print(listener.getsockname()[1], issued["accountId"], issued["token"], flush=True)
stopping = threading.Event()
served = world.app.wsgi_app
def make_app():
    stop = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *given: (stop(*given), stopping.set()))
    world.app.wsgi_app = held
    return world.app
def held(environ, start_response):
    if environ["PATH_INFO"] == "/healthz":
        print("begun", flush=True)
        stopping.wait(20)
    return served(environ, start_response)
serve_gunicorn(make_app, listener, threads=4)
print("ended", flush=True)
"""


def test_threads_answer_in_http_1_1(world: Any) -> None:
    server = serve_threaded(world.app, listen("127.0.0.1", 0))
    try:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert (answer.status, answer.version) == (200, 11)
        assert json.loads(answer.read()) == {"status": "ok"}
        connection.close()
    finally:
        server.stop()


def test_a_short_message_does_not_wait_for_the_receipt_of_the_one_before() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client.getpeername() == listener.getsockname()


def test_a_stopped_server_refuses_connections(world: Any) -> None:
    server = serve_threaded(world.app, listen("127.0.0.1", 0))
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_gunicorn_ends_within_five_seconds_though_a_websocket_is_open() -> None:
    with gunicorn() as (process, port, account, token):
        client = OrderedSocket()
        client.connect(
            f"http://127.0.0.1:{port}",
            auth={"token": token},
            namespaces=[f"/{account}_workflows"],
            transports=["websocket"],
            wait_timeout=30,
        )
        client.reconnection = False
        assert client.connected
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=10)[0]
        assert (rest.strip(), process.returncode) == ("ended", 0)
        assert time.monotonic() - began < 5
        client.disconnect()


def test_gunicorn_finishes_the_request_that_it_serves_before_it_ends() -> None:
    with gunicorn() as (process, port, _, _), closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        assert process.stdout is not None
        connection.request("GET", "/healthz")
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {"status": "ok"})
        connection.close()
        assert (process.communicate(timeout=10)[0].strip(), process.returncode) == ("ended", 0)


@contextmanager
def gunicorn() -> Iterator[tuple[subprocess.Popen[str], int, str, str]]:
    """A process that listens; its port, and an account with its token."""
    script = GUNICORN.format(folder=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, account, token = process.stdout.readline().split()
            yield process, int(port), account, token
        finally:
            process.kill()
