"""Requests a second and latency of `GET /workflows` beside a bare Flask-RESTX resource with the same documents.

Both are served by the same gunicorn settings from the same MongoDB, in turns. Ours logs in by a bearer token, checks
permissions and parameters, and embeds the instances of 20 workflows; the bare one reads 20 documents with one `find`.

    python -m tests.benchmarks.bench_rest [seconds a turn]
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import requests
from bson import ObjectId
from flask import Flask
from flask_restx import Api, Resource

from api.server import create_app, listen, serve_gunicorn
from api.services import Services, assemble
from orchestrator.accounts.passwords import Passwords
from orchestrator.boards.store import INDEXES as BOARD_INDEXES
from orchestrator.broker import BoardSender, server_app
from orchestrator.catalogue.packages import PackageLinks, link_secret
from orchestrator.core import build_core, utc_now
from orchestrator.database import connect, create_indexes
from orchestrator.live import Nobody
from orchestrator.runs.store import INDEXES as RUN_INDEXES
from orchestrator.seed import seed
from tests.servers import waiting
from tests.servers.mongod import own_server
from tests.servers.ports import Ports
from workties.messages import Package

ADMIN = ("supervisor@localhost", "not-a-secret-in-benchmarks")
WORKFLOWS, STEPS = 20, 2
#: Requests under way at the same time, and the server's threads.
CLIENTS, THREADS = 4, 8
ROUNDS = 5
#: Without indentation, as programs ask and as the bare resource answers.
OURS = "/api/v1/workflows?embed=worktiesInstances&pretty=false"
BARE = "/bare"
#: What is wanted: this part of the bare resource's requests a second.
WANTED = 0.6


def services_over(url: str) -> Services:
    """The services of an api process, without a broker."""
    database = connect(url)
    broker: Any = BoardSender(server_app("memory://"))
    links = PackageLinks(link_secret(database), "http://127.0.0.1")
    core = build_core(database, broker, Nobody(), lambda package: Package(package.sha256, package.size, "", ""))
    return assemble(database, core.runs, links, utc_now, broker=broker, fleet=core.fleet)


def furnish(url: str) -> str:
    """An account with workflows, and the same documents ready-made for the bare resource; returns a token."""
    database = connect(url)
    create_indexes(database, RUN_INDEXES, BOARD_INDEXES)
    seed(database, *ADMIN, utc_now(), Passwords(utc_now))
    client = create_app(services_over(url))[0].test_client()
    token = str(client.post("/api/v1/tokens", auth=ADMIN).get_json()["token"])
    login = {"Authorization": f"Bearer {token}"}
    workty = client.get("/api/v1/workties?name=with-delay", headers=login).get_json()[0]["_id"]
    for number in range(WORKFLOWS):
        made = client.post("/api/v1/workflows", json={"name": f"workflow {number}"}, headers=login).get_json()
        for _ in range(STEPS):
            path = f"/api/v1/workflows/{made['_id']}/worktiesInstances"
            assert client.post(path, json={"worktyId": workty}, headers=login).status_code == 201
    database["bare"].insert_many(_typed(client.get(OURS, headers=login).get_json()))
    database.client.close()
    return token


def _typed(value: Any) -> Any:
    """JSON as the database would hold it: ids and dates have their types."""
    if isinstance(value, list):
        return [_typed(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _typed(entry) for name, entry in value.items()}
    if isinstance(value, str) and ObjectId.is_valid(value):
        return ObjectId(value)
    if isinstance(value, str) and value.endswith("Z"):
        return datetime.fromisoformat(value)
    return value


def bare_app(url: str) -> Flask:
    """What Flask-RESTX costs by itself."""
    documents = connect(url)["bare"]
    app = Flask("bare")
    app.config["RESTX_JSON"] = {
        "default": lambda value: value.isoformat() if isinstance(value, datetime) else str(value)
    }

    class Bare(Resource):  # type: ignore[misc]
        def get(self) -> Any:
            return list(documents.find())

    Api(app).add_resource(Bare, BARE)
    return app


def serve(which: str, url: str, port: int) -> None:
    """Serve one of the two until SIGTERM."""
    make = (lambda: create_app(services_over(url))[0]) if which == "ours" else (lambda: bare_app(url))
    serve_gunicorn(make, listen("127.0.0.1", port), THREADS)


@contextmanager
def served(which: str, url: str, port: int) -> Iterator[None]:
    """A process that serves one of the two, ready."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_rest", "serve", which, url, str(port)]
    process = subprocess.Popen(command)
    try:
        path = f"http://127.0.0.1:{port}/swagger.json" if which == "bare" else f"http://127.0.0.1:{port}/healthz"
        waiting.until(lambda: _answers(path), seconds=60, what=f"{which} to serve")
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(path: str) -> bool:
    try:
        return requests.get(path, timeout=5).status_code < 500
    except requests.ConnectionError:
        return False


def load(port: int, path: str, token: str, seconds: float) -> list[float]:
    """Ask again and again from `CLIENTS` connections; returns how long each answer took, in seconds."""
    wanted = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    until = time.perf_counter() + seconds

    def ask(_: int) -> list[float]:
        taken = []
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            while (began := time.perf_counter()) < until:
                connection.sendall(wanted)
                _read_answer(connection)
                taken.append(time.perf_counter() - began)
        return taken

    with ThreadPoolExecutor(CLIENTS) as threads:
        return [each for taken in threads.map(ask, range(CLIENTS)) for each in taken]


def _read_answer(connection: socket.socket) -> None:
    data = connection.recv(65536)
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(data[:1000].decode())
    left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))


def main(seconds: float) -> None:
    """Measure in turns, and print requests a second, the 99th percentile, and the ratio."""
    with ExitStack() as on:
        mongo = on.enter_context(own_server(os.environ))
        url = mongo.url("workty")
        token = furnish(url)
        ports = Ports(2)
        on.callback(ports.release)
        paths = dict(zip(("ours", "bare"), zip(ports.numbers, (OURS, BARE), strict=True), strict=True))
        for which, (port, _) in paths.items():
            on.enter_context(served(which, url, port))
        taken: dict[str, list[float]] = {which: [] for which in paths}
        for port, path in paths.values():
            load(port, path, token, seconds / 4)
        for _ in range(ROUNDS):
            for which, (port, path) in paths.items():
                taken[which] += load(port, path, token, seconds)
    rates = {which: len(each) / (ROUNDS * seconds) for which, each in taken.items()}
    for which, each in taken.items():
        p99 = statistics.quantiles(each, n=100)[98]
        print(f"{which}: {rates[which]:.0f} requests/s, p99 {p99 * 1000:.1f} ms, {CLIENTS} clients")
    print(f"ratio {rates['ours'] / rates['bare']:.2f} (wanted: {WANTED})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
