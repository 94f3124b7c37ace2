"""A server in this process: embedded database, seeded, an in-memory run engine, and clients that speak REST."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from threading import current_thread
from typing import Any

import pytest
from argon2 import PasswordHasher
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient
from pymongo.database import Database
from werkzeug.test import TestResponse

from api.live.channel import Channel
from api.live.telling import Telling
from api.server import create_app, listen, serve_threaded
from api.services import Services, assemble
from orchestrator.accounts.passwords import Passwords
from orchestrator.boards.store import INDEXES as BOARD_INDEXES
from orchestrator.catalogue.packages import PackageLinks, link_secret
from orchestrator.database import create_indexes
from orchestrator.embedded import embedded_database
from orchestrator.errors import StateForbids, Unavailable, WorkflowEmpty
from orchestrator.runs.store import INDEXES as RUN_INDEXES
from orchestrator.runs.vocabulary import Run
from orchestrator.seed import seed
from orchestrator.workflows.runs import Runs
from tests.unit.api.live_client import LiveClient
from tests.unit.orchestrator.runs.world import World as Engine

ADMIN = ("supervisor@localhost", "secret")
BASE = "/api/v1"
#: The thread that reads what changed for live clients, beside the requests.
NEWS = "news"


class CountingHasher(PasswordHasher):
    """Cheap, and counts how often a password is verified."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002 - argon2's name
        self.verified += 1
        return super().verify(hash, password)


class Clock:
    """A time that only tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **units: float) -> None:
        self.now += timedelta(**units)


@dataclass
class MemoryRuns:
    """A run engine that keeps one run a workflow in memory and records what it is told."""

    db: Database[dict[str, Any]]
    runs: dict[ObjectId, dict[str, str]] = field(default_factory=dict)
    told: list[tuple[Any, ...]] = field(default_factory=list)
    stopping: set[ObjectId] = field(default_factory=set)

    def start(self, workflow_id: ObjectId) -> None:
        workflow = self.db["workflows"].find_one({"_id": workflow_id})
        assert workflow is not None
        if not workflow["worktiesInstancesIds"]:
            raise WorkflowEmpty(workflow["name"], str(workflow_id))
        if workflow_id in self.stopping:
            raise StateForbids("Workflow instance is running")
        run_id = ObjectId()
        self.runs[run_id] = {str(i): "waiting" for i in workflow["worktiesInstancesIds"][:1]}
        self.db["workflows"].update_one({"_id": workflow_id}, {"$set": {"runId": run_id}})
        self.told.append(("start", workflow_id))

    def resume(self, workflow_id: ObjectId) -> None:
        self.told.append(("resume", workflow_id))

    def pause(self, workflow_id: ObjectId) -> None:
        if workflow_id in self.stopping:
            raise StateForbids("Workflow instance is running")
        self.told.append(("pause", workflow_id))

    def stop(self, workflow_id: ObjectId, reason: str) -> None:
        self.told.append(("stop", workflow_id))

    def states(self, run_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Mapping[str, str]]:
        self.told.append(("states", *run_ids))
        return {run_id: self.runs[run_id] for run_id in run_ids}

    def of(self, run_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Run]:
        return {}

    def properties_changed(
        self, workflow_id: ObjectId, instance_id: ObjectId, properties: Sequence[Mapping[str, Any]]
    ) -> None:
        self.told.append(("properties", workflow_id, instance_id, list(properties)))

    def workflow_gone(self, workflow_id: ObjectId) -> None:
        self.told.append(("gone", workflow_id))

    def renamed(self, workflow_id: ObjectId, name: str, desc: str) -> None:
        self.told.append(("renamed", workflow_id, name, desc))

    def instance_renamed(self, workflow_id: ObjectId, instance_id: ObjectId, name: str, desc: str) -> None:
        self.told.append(("instance renamed", workflow_id, instance_id, name, desc))

    def stop_needing(self, workty_id: ObjectId, reason: str) -> None:
        self.told.append(("stop_needing", workty_id))

    def awaits(self, workflow_id: ObjectId, instance_id: ObjectId) -> bool:
        return any(run.get(str(instance_id), "completed") != "completed" for run in self.runs.values())


@dataclass
class MemoryBroker:
    """The way down to boards and what follows from changes of boards: records what it is told."""

    told: list[tuple[str, ...]] = field(default_factory=list)
    events: int = 0
    dead_letters: int = 0
    away: bool = False

    def add_board(self, board_id: str) -> None:
        self._answer()
        self.told.append(("add", board_id))

    def waiting(self) -> dict[str, int]:
        self._answer()
        return {"events": self.events, "dead-letters": self.dead_letters}

    def lose(self, board_id: str) -> None:
        self.told.append(("lose", board_id))

    def serve(self) -> None:
        self.told.append(("serve",))

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("The message broker")


@dataclass
class Client:
    """Speaks REST as one account."""

    http: FlaskClient
    authorization: str | None

    def send(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = dict(options.pop("headers", {}))
        if self.authorization is not None:
            headers.setdefault("Authorization", self.authorization)
        full = path if path.startswith(("http", "/api", "/healthz")) else BASE + path
        return self.http.open(full, method=method, headers=headers, **options)

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.send("GET", path, query_string=query)

    def post(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        return self.send("POST", path, json={} if body is None else body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        return self.send("PUT", path, json={} if body is None else body, **options)

    def delete(self, path: str) -> TestResponse:
        return self.send("DELETE", path)


def basic(email: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode()


@dataclass
class World:
    """Everything a test may want to look at."""

    db: Database[dict[str, Any]]
    app: Flask
    channel: Channel
    services: Services
    runs: Any
    clock: Clock
    hasher: CountingHasher
    operations: list[tuple[str, str]]
    links: PackageLinks
    broker: MemoryBroker
    telling: Telling
    engine: Engine

    def settle(self) -> None:
        """Wait until all that changed so far has been told."""
        assert self.telling.news.settle(20)

    def live(self, url: str, client: Client, *contexts: str) -> LiveClient:
        """A live client of the same account."""
        return LiveClient(url, client.post("/tokens").get_json(), *contexts)

    def client(self, email: str | None = None, password: str = "") -> Client:
        return Client(self.app.test_client(), basic(email, password) if email else None)

    @property
    def admin(self) -> Client:
        return self.client(*ADMIN)

    def account(self, name: str) -> Client:
        """A new regular account and its client."""
        created = self.admin.post("/accounts", {"name": name, "email": f"{name}@mail", "password": name})
        assert created.status_code == 201
        return self.client(f"{name}@mail", name)

    def account_id(self, client: Client) -> str:
        issued = client.post("/tokens").get_json()
        return str(issued["accountId"])

    def template(self, name: str) -> str:
        found = self.db["workties"].find_one({"name": name})
        assert found is not None
        return str(found["_id"])


def make_fresh(db: Database[dict[str, Any]]) -> Mapping[str, Sequence[dict[str, Any]]]:
    """Give an empty database what that of a fresh server has; its documents, by collection."""
    clock = Clock()
    create_indexes(db, RUN_INDEXES, BOARD_INDEXES)
    seed(db, *ADMIN, clock(), Passwords(clock, CountingHasher()))
    found = {name: list(db[name].find({})) for name in db.list_collection_names()}
    return {name: documents for name, documents in found.items() if documents}


@cache
def _fresh() -> Mapping[str, Sequence[dict[str, Any]]]:
    """What a fresh server's collections hold; made once, since most of a test's time would go into it."""
    return make_fresh(embedded_database())


def new_world(database: Database[dict[str, Any]] | None = None, *, real_engine: bool = False) -> World:
    """A seeded server, on an embedded database of its own or on one that is given and was made fresh.

    With `real_engine` its runs are those of the `engine`, whose boards and time are the test's; else they are kept in
    memory, and are only what they are told.
    """
    operations: list[tuple[str, str]] = []

    def observed(collection: str, operation: str) -> None:
        if current_thread().name != NEWS:
            operations.append((collection, operation))

    db = database
    if db is None:
        db = embedded_database(observe=observed)
        create_indexes(db, RUN_INDEXES, BOARD_INDEXES)
        for name, documents in _fresh().items():
            db[name].insert_many(documents)
    clock, hasher = Clock(), CountingHasher()
    passwords = Passwords(clock, hasher)
    links = PackageLinks(link_secret(db), "http://server")
    broker = MemoryBroker()
    telling = Telling(Channel())
    engine = Engine(db, telling.audience)
    runs: Runs = engine.core.runs if real_engine else MemoryRuns(db)
    services = assemble(db, runs, links, clock, passwords, broker=broker, fleet=broker, audience=telling.audience)
    app, _ = create_app(services, telling=telling)
    return World(db, app, telling.channel, services, runs, clock, hasher, operations, links, broker, telling, engine)


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def engine_world() -> World:
    """A world with the real run engine. Modules that test runs let their `world` be this one."""
    return new_world(real_engine=True)


@pytest.fixture
def ann(world: World) -> Client:
    return world.account("ann")


@pytest.fixture
def bob(world: World) -> Client:
    return world.account("bob")


@pytest.fixture
def live_url(world: World) -> Iterator[str]:
    """The server of `world` on a port."""
    server = serve_threaded(world.app, listen("127.0.0.1", 0))
    yield f"http://127.0.0.1:{server.port}"
    server.stop()
