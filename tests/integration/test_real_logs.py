"""Lines of output from a board's account to the log of a run, on a real RabbitMQ and a real MongoDB."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from kombu import Connection, Exchange, Producer
from pymongo.database import Database

from orchestrator.boards.store import INDEXES as BOARD_INDEXES
from orchestrator.broker import DEAD_LETTERS_QUEUE, BoardSender, server_app
from orchestrator.core import Orchestrator, build_core, utc_now
from orchestrator.database import connect, create_indexes
from orchestrator.live import Nobody
from orchestrator.runs.decision import Decision
from orchestrator.runs.logs import RunLogs
from orchestrator.runs.store import INDEXES as RUN_INDEXES
from orchestrator.runs.store import RunStore
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
from workties.messages import EVENTS_EXCHANGE, Log, LogLine, Package, Program, encode

pytestmark = pytest.mark.real

Db = Database[dict[str, Any]]
#: Accounts are one namespace for all virtual hosts of a broker, so names differ between test processes.
BOARD = BoardRef(f"board-{secrets.token_hex(4)}", "kitchen")
SECONDS = 60


@pytest.fixture
def database(database_url: str) -> Iterator[Db]:
    found = connect(database_url)
    with closing(found.client):
        create_indexes(found, RUN_INDEXES, BOARD_INDEXES)
        yield found


@pytest.fixture
def orchestrator(vhost: Vhost, database: Db) -> Iterator[Callable[[], Orchestrator]]:
    """Starts orchestrators; they are stopped at the end."""
    with ExitStack() as started:

        def start() -> Orchestrator:
            app = server_app(vhost.amqp_url)
            sender = BoardSender(app)
            core = build_core(database, sender, Nobody(), lambda package: Package(package.sha256, 1, "", ""))
            found = Orchestrator(core, app, sender)
            found.start()
            started.callback(found.stop)
            assert found.wait_until_ready(SECONDS)
            return found

        yield start


class Board:
    """A board that has run a step, and says what it wrote through an account with a board's rights."""

    def __init__(self, url: str, database: Db) -> None:
        self._connection = Connection(url)
        self._producer = Producer(self._connection.channel(), Exchange(EVENTS_EXCHANGE, no_declare=True))
        self._seq = 0
        program = Program("6e" * 12, "writer", "1", "python", "main.py")
        done = {"state": StepState.COMPLETED, "attempt": 1, "board": BOARD}
        step = Step(instance=str(ObjectId()), name="write", desc="", program=program, package=None, **done)
        self.run = Run(
            id=str(ObjectId()),
            workflow=str(ObjectId()),
            workflow_name="nightly",
            workflow_desc="",
            account=str(ObjectId()),
            number=1,
            steps=(step,),
            created=utc_now(),
            state=RunState.COMPLETED,
        )
        RunStore(database).insert(Decision(self.run), "nobody", utc_now())

    def message(self, number: int) -> Log:
        line = LogLine("2026-01-01T00:00:00Z", "stdout", f"line {number}")
        instance = self.run.steps[0].instance
        common = {"run": self.run.id, "instance": instance, "attempt": 1, "board": BOARD.id, "at": "now"}
        return Log(id=f"m{number}", seq=number, lines=(line,), **common)

    def say(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            body = encode(self.message(number))
            self._producer.publish(body, routing_key=f"{BOARD.id}.log", user_id=BOARD.id, serializer="json")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def board(vhost: Vhost, database: Db, orchestrator: Callable[[], Orchestrator]) -> Iterator[Board]:
    """The board; its orchestrator has declared what it writes to."""
    orchestrator()
    with closing(Board(vhost.add_board_account(BOARD.id, "secret"), database)) as found:
        yield found
    vhost.remove_account(BOARD.id)


def lines(database: Db, board: Board) -> list[str]:
    stored = RunLogs(database).after(board.run.id, 0, 0)
    assert [message.seq for message in stored] == list(range(1, len(stored) + 1))
    return [line["text"] for message in stored for line in message.lines]


def until_kept(database: Db, board: Board, count: int) -> list[str]:
    waiting.until(lambda: len(lines(database, board)) >= count, seconds=SECONDS, what=f"{count} lines to be kept")
    return lines(database, board)


def test_lines_stay_in_order_with_many_orchestrators_of_which_one_goes(
    vhost: Vhost, database: Db, board: Board, orchestrator: Callable[[], Orchestrator]
) -> None:
    orchestrator()
    waiting.until(lambda: len(vhost.consumers("logs")) == 2, seconds=SECONDS, what="two readers")
    board.say(1, 1000)
    until_kept(database, board, 300)
    active = next(consumer for consumer in vhost.consumers("logs") if consumer["active"])
    vhost.broker.management.call("DELETE", "connections", active["channel_details"]["connection_name"])
    board.say(1001, 2000)
    assert until_kept(database, board, 2000) == [f"line {number}" for number in range(1, 2001)]


def test_lines_that_are_sent_again_are_kept_once(database: Db, board: Board) -> None:
    board.say(1, 50)
    board.say(20, 60)
    until_kept(database, board, 60)
    board.say(60, 61)
    assert until_kept(database, board, 61) == [f"line {number}" for number in range(1, 62)]


def test_while_the_database_is_away_lines_wait_in_the_broker(
    vhost: Vhost, database: Db, board: Board, mongod: MongoServer, caplog: pytest.LogCaptureFixture
) -> None:
    board.say(1, 50)
    until_kept(database, board, 50)
    mongod.kill9()
    try:
        board.say(51, 400)
        waiting.until(lambda: "have to wait" in caplog.text, seconds=SECONDS, what="lines to be given back")
    finally:
        mongod.restart()
    assert until_kept(database, board, 400) == [f"line {number}" for number in range(1, 401)]
    with Connection(vhost.amqp_url) as connection:
        assert connection.channel().queue_declare(DEAD_LETTERS_QUEUE, passive=True).message_count == 0


def test_many_writers_at_once_leave_no_gap_and_store_nothing_twice(
    database_url: str, database: Db, board: Board
) -> None:
    origin = RunStore(database).origins([board.run.id])[board.run.id]

    def write(first: int) -> None:
        own = connect(database_url)
        with closing(own.client):
            for number in range(first, 100, 2):
                batch = [board.message(number), board.message(number + 1)]
                RunLogs(own).add(origin, batch, utc_now(), utc_now() + timedelta(days=1))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, (1, 2, 1, 2)))
    assert sorted(lines(database, board)) == sorted(f"line {number}" for number in range(1, 101))


@pytest.mark.parametrize("way", [1, -1])
def test_a_log_is_read_in_order_of_an_index(database: Db, way: int) -> None:
    found = database["run_logs"].find({"runId": ObjectId(), "seq": {"$gt": 5}}, sort=[("seq", way)])
    plan = found.explain()["queryPlanner"]["winningPlan"]
    assert "in_order" in str(plan)
    assert "'SORT'" not in str(plan)


def test_messages_end_by_themselves(database: Db) -> None:
    assert database["run_logs"].index_information()["expiry"]["expireAfterSeconds"] == 0
