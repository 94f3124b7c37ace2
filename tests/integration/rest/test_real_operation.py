"""Boards, the history of runs, repeated requests, and outages, on a real MongoDB and a real RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from bson import ObjectId
from kombu import Connection

from api.cli.server import ANSWER_SECONDS
from api.rest.api import ROUTES
from api.rest.health import Dependencies
from api.rest.openapi import METHODS
from orchestrator.accounts.account import Account
from orchestrator.boards.service import BoardService
from orchestrator.boards.store import BoardStore
from orchestrator.broker import BoardSender, server_app
from orchestrator.core import build_core, utc_now
from orchestrator.database import connect
from orchestrator.errors import Unavailable
from orchestrator.live import Nobody
from orchestrator.runs.course import completed
from orchestrator.runs.decision import Decision
from orchestrator.runs.store import RunStore
from orchestrator.runs.turn import Turn
from orchestrator.runs.vocabulary import (
    BoardRef,
    Run,
    RunState,
    Step,
    StepState,
)
from tests.servers import waiting
from tests.servers.broker import Vhost
from tests.servers.mongod import MongoServer
from tests.unit.api.conftest import World, make_fresh, new_world
from workties.messages import Heartbeat, Program, board_queue, control_queue

pytestmark = pytest.mark.real

#: Within this long a client is told that the database is away, seconds: two, and more on a machine that is busy.
TOLD_SECONDS = 6.0


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    database = connect(database_url, timeout_seconds=ANSWER_SECONDS)
    with closing(database.client):
        make_fresh(database)
        world = new_world(database)
        # The server removes what has expired by its own clock.
        world.clock.now = utc_now()
        yield world


def administrator(world: World) -> Account:
    return world.services.tokens.accept(world.admin.post("/tokens").get_json()["token"])


def heartbeat(board: str) -> Heartbeat:
    return Heartbeat(id="h", at="now", board=board, boot="b", seq=1, active=(), slots=2, runtimes=("python",))


def running(world: World, account: str, board: BoardRef) -> Run:
    """A run whose step is with a board."""
    step = Step(
        instance=str(ObjectId()),
        name="copy",
        desc="",
        program=Program("6e" * 12, "with-delay", "1", "python", "main.py"),
        package=None,
        state=StepState.RUNNING,
        attempt=1,
        board=board,
        dispatched=world.clock(),
        accepted=world.clock(),
    )
    run = Run(
        id=str(ObjectId()),
        workflow=str(ObjectId()),
        workflow_name="nightly",
        workflow_desc="",
        account=account,
        number=1,
        steps=(step,),
        created=world.clock(),
        state=RunState.RUNNING,
        board=board,
    )
    RunStore(world.db).insert(Decision(run), "nobody", world.clock())
    world.db["runs"].update_one({"_id": ObjectId(run.id)}, {"$set": {"held": True, "drainer": None, "draining": False}})
    return run


# --- boards


def test_names_of_boards_are_unique_even_for_two_at_once(world: World) -> None:
    admin = world.admin
    admin.get("/devices")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: world.admin.post("/devices", {"name": "küche"}).status_code, range(8)))
    assert sorted(answers) == [201] + [409] * 7
    assert [board["name"] for board in admin.get("/devices").get_json()] == ["küche"]


def test_a_removed_board_loses_its_attempts_and_the_run_waits_for_another_one(world: World) -> None:
    sent: list[Any] = []

    class Sender:
        def assign(self, assignment: Any) -> None:
            sent.append(assignment)

        def control(self, control: Any) -> None:
            sent.append(control)

    core = build_core(world.db, Sender(), Nobody(), lambda package: None, clock=world.clock)  # type: ignore[arg-type]
    boards = BoardService(world.db, world.broker, core.fleet, world.clock)
    board = world.admin.post("/devices", {"name": "kitchen"}).get_json()["_id"]
    store = BoardStore(world.db)
    store.heard(heartbeat(board), world.clock())
    run = running(world, world.account_id(world.admin), BoardRef(board, "kitchen"))
    assert store.lease(store.all()[0], run.id, world.clock())
    assert world.admin.get(f"/devices/{board}").get_json()["state"] == "running"
    boards.delete(administrator(world), board)
    shown = world.admin.get(f"/runs/{run.id}").get_json()
    assert (shown["state"], shown["losses"], "board" in shown) == ("waiting", 1, False)
    assert shown["waitsFor"]["code"] in {"board-lost", "no-slot", "no-board"}
    assert world.admin.get("/devices").get_json() == []


def test_a_board_added_over_rest_has_its_queues(world: World, vhost: Vhost) -> None:
    sender = BoardSender(server_app(vhost.amqp_url))
    sender.declare()
    boards = BoardService(world.db, sender, world.broker, world.clock)
    board = str(boards.add(administrator(world), {"name": "kitchen"})["_id"])
    with Connection(vhost.amqp_url) as connection, connection.channel() as channel:
        for queue in (board_queue(board), control_queue(board)):
            assert channel.queue_declare(queue, passive=True).message_count == 0
    assert sender.waiting() == {"events": 0, "dead-letters": 0}


def test_a_broker_that_is_not_there_is_told_quickly() -> None:
    sender = BoardSender(server_app("amqp://guest:guest@127.0.0.1:9/nothing"))
    began = time.monotonic()
    with pytest.raises(Unavailable):
        sender.waiting()
    assert time.monotonic() - began < TOLD_SECONDS


# --- the history of runs


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "by_creation"),
        ({"accountId": ObjectId()}, "of_account"),
        ({"workflowId": ObjectId()}, "of_workflow"),
        ({"state": "running"}, "by_state"),
    ],
)
def test_the_history_is_read_in_order_of_an_index(world: World, query: dict[str, Any], index: str) -> None:
    plan = world.db["runs"].find(query, sort=[("created", -1), ("_id", -1)]).explain()["queryPlanner"]["winningPlan"]
    assert index in str(plan)
    assert "'SORT'" not in str(plan)


def test_runs_whose_timers_are_due_are_found_by_an_index(world: World) -> None:
    query = {"timed": True, "due": {"$lte": world.clock()}}
    plan = world.db["runs"].find(query, {"_id": 1}, sort=[("due", 1)]).explain()["queryPlanner"]["winningPlan"]
    assert "timers" in str(plan)
    assert "'SORT'" not in str(plan)


def test_metrics_tell_how_many_steps_ended(world: World) -> None:
    board = BoardRef(str(ObjectId()), "kitchen")
    run = running(world, str(administrator(world).id), board)
    store = RunStore(world.db)
    stored = store.load(run.id)
    assert stored is not None
    turn = Turn(run, world.clock())
    completed(turn, {})
    assert store.save(stored, turn.decision(), "token", world.clock()) is not None
    text = world.client().send("GET", "http://localhost/metrics").get_data(as_text=True)
    [value] = [line.split(" ")[1] for line in text.splitlines() if line.startswith("workty_steps_per_second")]
    assert float(value) == pytest.approx(1 / 60)


# --- requests that are sent twice


def test_of_many_equal_requests_at_once_one_is_carried_out(world: World) -> None:
    world.admin.get("/workflows")

    def post(_: int) -> Any:
        return world.admin.post("/workflows", {"name": "w"}, headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post, range(16)))
    created = {answer.get_json()["_id"] for answer in answers if answer.status_code == 201}
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(created) == 1
    assert len(world.admin.get("/workflows").get_json()) == 1


# --- outages


def test_while_the_database_is_away_every_request_is_told_so_and_then_all_is_well(
    world: World, mongod: MongoServer
) -> None:
    admin = world.admin
    assert admin.get("/workflows").status_code == 200
    dependencies = Dependencies({"database": world.services.check})
    mongod.kill9()
    try:
        for method, path in (("GET", "/workflows"), ("POST", "/workflows"), ("DELETE", "/tokens/current")):
            began = time.monotonic()
            answer = admin.send(method, path, **({"json": {"name": "w"}} if method == "POST" else {}))
            assert time.monotonic() - began < TOLD_SECONDS, (method, path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
            assert answer.get_json()["error"]["error_link"].endswith("/v1/503")
        assert dependencies.present() == {"database": False}
        with ThreadPoolExecutor(8) as threads:
            told = list(threads.map(lambda route: _told(world, *route), _operations()))
        assert [entry for entry in told if entry[2:] != (503, True)] == []
        began = time.monotonic()
        assert world.client().send("GET", "http://localhost/healthz").status_code == 503
        assert world.client().send("GET", "http://localhost/readyz").get_json()["database"] == "down"
        assert time.monotonic() - began < 2 * TOLD_SECONDS
    finally:
        mongod.restart()
    waiting.until(
        lambda: admin.get("/workflows").status_code == 200, seconds=30, what="the server to find its database again"
    )
    assert admin.post("/workflows", {"name": "w"}).status_code == 201
    assert world.client().send("GET", "http://localhost/readyz").status_code == 200


def _operations() -> list[tuple[str, str]]:
    return [
        (method, "/".join("5f" * 12 if part.startswith("<") else part for part in path.split("/")))
        for path, endpoint in ROUTES
        for method in METHODS
        if hasattr(endpoint, method.lower())
    ]


def _told(world: World, method: str, path: str) -> tuple[str, str, int, bool]:
    body = {"json": {"name": "x"}} if method in {"POST", "PUT"} else {}
    began = time.monotonic()
    answer = world.admin.send(method, path, **body)
    return method, path, answer.status_code, time.monotonic() - began < TOLD_SECONDS
