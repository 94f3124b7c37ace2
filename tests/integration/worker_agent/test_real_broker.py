"""An agent as boards run it: a process, on a real RabbitMQ node, with an account that may do what a board needs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from kombu import Connection, Queue

from orchestrator import broker
from tests.servers import waiting
from tests.servers.broker import Vhost
from tests.servers.process import ServerProcess
from tests.servers.stack import WORKTY
from workties.messages import board_queue
from workties.package import pack

pytestmark = pytest.mark.real

#: Accounts are one namespace for all virtual hosts of a broker, so names differ between test processes.
BOARD = f"board-{secrets.token_hex(4)}"
#: Not so many that states which wait while the connection is away would be thinned out.
STATES = 40


@pytest.fixture
def connection(vhost: Vhost) -> Iterator[Connection]:
    """The server's connection, after it declared everything."""
    with Connection(vhost.amqp_url) as found:
        broker.declare(found)
        broker.declare_board(found, BOARD)
        yield found


@pytest.fixture
def server(connection: Connection, make_server: Callable[..., Any]) -> Any:
    return make_server(connection, [Queue(broker.EVENTS_QUEUE, no_declare=True)])


@pytest.fixture
def agent(server: Any, vhost: Vhost, tmp_path: Path) -> Iterator[ServerProcess]:
    """The agent of the board, when it takes work."""
    settings = {
        "AMQP_URL": vhost.add_board_account(BOARD, "secret"),
        "BOARD_ID": BOARD,
        "SERVER_URL": server.packages.url,
        "STATE_DIR": str(tmp_path / "state"),
        "HEARTBEAT_SECONDS": "1",
    }
    environ = {f"WORKTY_{name}": value for name, value in settings.items()}
    process = ServerProcess(
        [WORKTY, "agent"], directory=tmp_path, environ={"PATH": os.environ["PATH"], **environ}, name="agent"
    )
    try:
        server.hear(lambda event: event["kind"] == "heartbeat", seconds=60)
        yield process
    finally:
        process.end()
        vhost.remove_account(BOARD)


def package(folder: Path, script: str) -> bytes:
    """A package of one plain Python file that may `say` lines."""
    folder.mkdir()
    say = """
import json, os, time
def say(**line):
    os.write(int(os.environ["WORKTY_EVENTS_FD"]), json.dumps(line).encode() + b"\\n")
"""
    (folder / "main.py").write_text(say + script)
    return pack(folder)


def as_the_server_counts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events without those whose number was seen before; they must be the same ones."""
    seen: dict[int, dict[str, Any]] = {}
    counted = []
    for event in events:
        assert seen.setdefault(event["seq"], event)["id"] == event["id"]
        if not counted or event["seq"] > counted[-1]["seq"]:
            counted.append(event)
    return counted


def test_a_step_runs_and_every_event_bears_the_name_of_the_board(
    server: Any, agent: ServerProcess, tmp_path: Path
) -> None:
    script = "say(type='state', state='one')\nsay(type='output', output={'answer': 42})"
    sent = server.assign(BOARD, package(tmp_path / "package", script))
    final = server.hear_final(sent)
    assert (final["kind"], final["output"]) == ("completed", {"answer": 42})
    events = server.events(sent)
    assert [(event["kind"], event["seq"]) for event in events] == [
        ("accepted", 1),
        ("state", 2),
        ("state", 3),
        ("completed", 4),
    ]
    assert server.authors == {BOARD}


def test_a_message_that_makes_no_sense_goes_to_the_dead_letters_and_the_board_goes_on(
    server: Any, agent: ServerProcess, connection: Connection, tmp_path: Path
) -> None:
    broken = server.assign(BOARD, package(tmp_path / "package", ""), limits={"wall": "long"})
    assert server.hear_final(broken)["reason"]["code"] == "bad-message"
    channel = connection.channel()
    letter = waiting.until(
        lambda: channel.basic_get(broker.DEAD_LETTERS_QUEUE, no_ack=True), seconds=5, what="a dead letter"
    )
    death = letter.headers["x-death"][0]
    assert (death["reason"], death["queue"]) == ("rejected", board_queue(BOARD))
    assert broken["instance"] in letter.body
    fine = {name: broken[name] for name in ("package", "workty")}
    assert server.hear_final(server.assign(BOARD, None, **fine))["kind"] == "completed"


def test_what_happens_while_the_connection_is_cut_is_told_in_order_and_once(
    server: Any, agent: ServerProcess, vhost: Vhost, tmp_path: Path
) -> None:
    script = f"""
for n in range({STATES}):
    say(type="state", state=f"s{{n}}")
    time.sleep(0.1)
"""
    sent = server.assign(BOARD, package(tmp_path / "package", script))
    for state in ("s5", "s20"):
        server.hear(lambda event, state=state: event.get("state") == state)
        cut(vhost)
    assert server.hear_final(sent)["kind"] == "completed", agent.tail()
    events = as_the_server_counts(server.events(sent))
    states = [event["state"] for event in events if event["kind"] == "state"]
    assert states == ["running", *(f"s{n}" for n in range(STATES))]
    assert [event["seq"] for event in events] == list(range(1, STATES + 4))
    again = {name: sent[name] for name in ("package", "workty")}
    assert server.hear_final(server.assign(BOARD, None, **again), seconds=30)["kind"] == "completed"
    assert agent.alive


def cut(vhost: Vhost) -> None:
    """Close every connection of the board."""
    call = vhost.broker.management.call

    def close(name: str) -> bool:
        try:
            call("DELETE", "connections", name)
        except requests.HTTPError as error:
            if error.response.status_code != 404:  # it is listed for a while after its end
                raise
            return False
        return True

    def close_all() -> bool:
        closed = [close(found["name"]) for found in call("GET", "connections") if found.get("user") == BOARD]
        return any(closed)

    waiting.until(close_all, seconds=30, what="the board's connections to be closed")
