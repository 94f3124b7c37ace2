"""Measures how fast changes of runs reach 100 live clients, beside a bare Flask-SocketIO, in one run.

Run: python -m tests.benchmarks.bench_live [seconds at a steady rate]

Both servers are one process with the library's message queue on RabbitMQ. Another process emits what a real run emits,
to 20 accounts with 5 sockets each: first as fast as it can, then so many a second that nobody is busy.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import requests
import websocket
from flask import Flask
from flask_socketio import SocketIO

from api.live import payloads
from api.live.channel import Channel
from api.server import listen, serve_gunicorn
from orchestrator.live import StepChange
from tests.servers import waiting
from tests.servers.broker import create_vhost
from tests.servers.mongod import own_server
from tests.servers.ports import Ports
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import RabbitNode
from tests.servers.stack import RealStack

ACCOUNTS, SOCKETS = 20, 5
#: Messages of the first measurement; messages a second of the second one.
BURST, STEADY = 2000, 40
THREADS = 256
Emit = Callable[[str, dict[str, Any], str], None]


class Ear:
    """A client that notes when each message came."""

    def __init__(self, port: int, namespace: str, token: str, ears: Ears) -> None:
        self._ears = ears
        address = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        self._socket = websocket.create_connection(address, timeout=120)
        self._socket.recv()
        self._socket.send(f"40{namespace},{json.dumps({'token': token})}")
        while not str(self._socket.recv()).startswith("40"):
            pass
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Disconnect."""
        self._socket.shutdown()

    def _read(self) -> None:
        try:
            while text := str(self._socket.recv()):
                now = time.monotonic()
                if text == "2":
                    self._socket.send("3")
                elif '"sent":' in text:
                    self._ears.heard(now - float(text.partition('"sent":')[2].partition("}")[0].partition(",")[0]))
        except (OSError, websocket.WebSocketException):
            return


class Ears:
    """All clients of one server, and the delays of what they heard, in seconds."""

    def __init__(self, port: int, opened: list[tuple[str, str]]) -> None:
        self.delays: list[float] = []
        self._news = Condition()
        self._ears = [Ear(port, namespace, token, self) for namespace, token in opened for _ in range(SOCKETS)]

    def heard(self, delay: float) -> None:
        """A message came."""
        with self._news:
            self.delays.append(delay)
            self._news.notify_all()

    def take(self, count: int) -> list[float]:
        """The delays of the next `count` messages; TimeoutError after two minutes."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.delays) >= count, timeout=120):
                raise TimeoutError(f"{len(self.delays)} of {count} messages came")
            taken, self.delays = self.delays[:count], self.delays[count:]
            return taken

    def close(self) -> None:
        """Disconnect all."""
        for ear in self._ears:
            ear.close()


def message(number: int) -> dict[str, Any]:
    """What is told of a step that begins, with the moment at which it is told."""
    step = {
        "instance": "4" * 24, "workty": "5" * 24, "name": "copy the pictures", "desc": "", "state": "running",
        "properties": [{"id": "6" * 24, "name": "delay", "value": 1}], "attempt": 1, "progress": None,
        "reason": None, "board": {"id": "7" * 24, "name": "kitchen"},
    }  # fmt: skip
    change = StepChange("1" * 24, "2" * 24, "nightly", "", "3" * 24, number, "running", None, None, step, False)
    return payloads.changed(change) | {"sent": time.monotonic()}


def measure(emit: Emit, ears: Ears, namespaces: list[str], seconds: float) -> tuple[float, list[float]]:
    """Messages delivered a second in a burst, and delays at a steady rate."""
    for number, namespace in enumerate(namespaces):
        emit("sv.workflow.changed", message(-1 - number), namespace)
    ears.take(len(namespaces) * SOCKETS)
    began = time.monotonic()
    for number in range(BURST):
        emit("sv.workflow.changed", message(number), namespaces[number % len(namespaces)])
    ears.take(BURST * SOCKETS)
    rate = BURST * SOCKETS / (time.monotonic() - began)
    count = round(seconds * STEADY)
    due = time.monotonic()
    for number in range(count):
        due += 1 / STEADY
        time.sleep(max(0.0, due - time.monotonic()))
        emit("sv.workflow.changed", message(BURST + number), namespaces[number % len(namespaces)])
    return rate, ears.take(count * SOCKETS)


def serve_bare(url: str, port: int) -> None:
    """Flask-SocketIO with its message queue, and nothing else, until SIGTERM."""

    def make() -> Flask:
        app = Flask("bare")
        app.add_url_rule("/healthz", view_func=lambda: "")
        socketio = SocketIO(app, namespaces="*", async_mode="threading", message_queue=url, channel="bare")
        socketio.on("connect", namespace="*")(lambda auth=None: None)
        return app

    serve_gunicorn(make, listen("127.0.0.1", port), THREADS)


@contextmanager
def bare_server(amqp_url: str, directory: Path) -> Iterator[int]:
    """The bare server in a process; its port."""
    ports = Ports(1)
    port = ports.numbers[0]
    command = [sys.executable, "-m", "tests.benchmarks.bench_live", "bare", amqp_url, str(port)]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())}
    process = ServerProcess(command, directory=directory, environ=environ, name="bare")
    try:
        waiting.until(lambda: _answers(port), seconds=60, what="the bare server", tail=process.tail)
        yield port
    finally:
        process.end()
        ports.release()


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False


def accounts(stack: RealStack) -> list[tuple[str, str]]:
    """Namespace and token of new accounts."""
    opened = []
    for number in range(ACCOUNTS):
        login = (f"{number}@bench", secrets.token_urlsafe(12))
        stack.rest("POST", "/accounts", {"email": login[0], "password": login[1]})
        issued = stack.rest("POST", "/tokens", {}, login=login)
        opened.append((f"/{issued['accountId']}_workflows", issued["token"]))
    return opened


def main(seconds: float) -> None:
    """Measure both in turn, and print messages a second and delays."""
    with ExitStack() as on:
        broker, mongo = on.enter_context(RabbitNode()), on.enter_context(own_server(os.environ))
        vhost = create_vhost(broker)
        directory = Path(on.enter_context(tempfile.TemporaryDirectory()))
        stack = on.enter_context(RealStack(vhost, mongo.url("bench"), directory))
        bare_port = on.enter_context(bare_server(vhost.amqp_url, directory))
        opened = accounts(stack)
        namespaces = [namespace for namespace, _ in opened]
        bare = SocketIO(message_queue=vhost.amqp_url, channel="bare")
        servers: dict[str, tuple[int, Emit]] = {
            "workty": (int(stack.url.rpartition(":")[2]), Channel(vhost.amqp_url, serves=False).emit),
            "bare": (bare_port, lambda event, payload, namespace: bare.emit(event, payload, namespace=namespace)),
        }
        rates = {}
        for name, (port, emit) in servers.items():
            ears = Ears(port, opened)
            rates[name], delays = measure(emit, ears, namespaces, seconds)
            ears.close()
            p50, p99 = statistics.median(delays), statistics.quantiles(delays, n=100)[98]
            print(
                f"{name}: {rates[name]:.0f} messages/s to {ACCOUNTS * SOCKETS} clients; at {STEADY * SOCKETS} a second "
                f"delay p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"
            )
        print(f"ratio {rates['workty'] / rates['bare']:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        serve_bare(sys.argv[2], int(sys.argv[3]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
