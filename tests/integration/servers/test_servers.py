"""The servers that tests run against: they answer, keep their data through a kill, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pymongo
import pytest
import requests
from kombu import Connection

from tests.servers import waiting
from tests.servers.broker import Broker, BrokerMissing, Vhost, create_vhost, remove_vhost
from tests.servers.guard import children
from tests.servers.mongod import Database, DatabaseMissing, ExternalMongo, find_database
from tests.servers.ports import Ports
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import find_broker

LOOP = "import time\nwhile True: time.sleep(60)"


@pytest.mark.real
def test_a_message_goes_through_the_broker(vhost: Vhost) -> None:
    with Connection(vhost.amqp_url) as connection, connection.SimpleQueue("greetings") as queue:
        queue.put({"hello": "board"})
        message = queue.get(timeout=30)
        assert message.payload == {"hello": "board"}
        message.ack()


@pytest.mark.real
def test_a_removed_vhost_takes_its_accounts_along(rabbitmq: Broker) -> None:
    vhost = create_vhost(rabbitmq)
    vhost.add_board_account("board-01", "secret")
    remove_vhost(vhost)
    for user in (vhost.name, "board-01"):
        with pytest.raises(requests.HTTPError, match="404"):
            rabbitmq.management.call("GET", "users", user)


@pytest.mark.real
def test_every_test_has_a_database_of_its_own(mongod: Database, database_url: str) -> None:
    with pymongo.MongoClient[dict[str, Any]](database_url) as client:
        database = client.get_default_database()
        with client.start_session() as session, session.start_transaction():
            database["things"].insert_one({"_id": 1}, session=session)
        assert database["things"].count_documents({}) == 1
        assert database.name.startswith("workty-test-")


def test_a_missing_server_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing, match="WORKTY_TEST_MONGO_URL"):
        find_database({"WORKTY_TEST_MONGOD": str(tmp_path / "no-such-file")})
    with pytest.raises(BrokerMissing, match="WORKTY_TEST_AMQP_MANAGEMENT_URL"):
        find_broker({"WORKTY_TEST_AMQP_URL": "amqp://127.0.0.1:5672"})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mongodb://db:27017/?replicaSet=rs0", "mongodb://db:27017/mine?replicaSet=rs0"),
        ("mongodb://u:p@a,b/app", "mongodb://u:p@a,b/mine?authSource=app"),
        ("mongodb://u:p@a/?authSource=users", "mongodb://u:p@a/mine?authSource=users"),
    ],
)
def test_a_kept_database_server_gives_databases_with_the_same_login(given: str, expected: str) -> None:
    assert ExternalMongo(given).url("mine") == expected


def test_reserved_ports_are_given_once() -> None:
    first, second = Ports(20), Ports(20)
    assert not set(first.numbers) & set(second.numbers)
    first.release()
    second.release()


def start(directory: Path, code: str) -> ServerProcess:
    environ = {"PATH": os.environ["PATH"]}
    return ServerProcess([sys.executable, "-c", code], directory=directory, environ=environ, name="program")


def test_a_process_tells_its_exit_code_and_its_log(tmp_path: Path) -> None:
    process = start(tmp_path, "print('hello'); raise SystemExit(3)")
    assert process.wait(seconds=30) == 3
    assert process.tail() == "hello"
    process.end()


def test_a_kill_leaves_what_the_process_started_and_the_end_takes_it(tmp_path: Path) -> None:
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {LOOP!r}], start_new_session=True)"
    process = start(tmp_path, f"{child}\n{LOOP}")
    left = waiting.until(lambda: children(process.pid), seconds=30, what="the child to start")
    process.kill9()
    assert not process.alive
    assert all(is_running(pid) for pid in left)
    process.end()
    assert not any(is_running(pid) for pid in left)


def test_nothing_outlives_a_killed_test_run(tmp_path: Path) -> None:
    directory = tmp_path / "server"
    directory.mkdir()
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {LOOP!r}], start_new_session=True)"
    program = f"{child}\n{LOOP}"
    code = (
        "import sys, time; from pathlib import Path; from tests.servers.process import ServerProcess\n"
        f"process = ServerProcess([sys.executable, '-c', {program!r}], directory=Path({str(directory)!r}),"
        " environ={}, name='program')\n"
        "print(process.pid, flush=True)\ntime.sleep(60)"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        server = int(tests.stdout.readline())
        [left] = waiting.until(lambda: children(server), seconds=30, what="the child to start")
        guard = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
        tests.send_signal(signal.SIGKILL)
    for process in (server, left, guard):
        waiting.until(lambda pid=process: not is_running(pid), seconds=30, what="all processes to end")
    waiting.until(lambda: not directory.exists(), seconds=30, what="its directory to go")


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
