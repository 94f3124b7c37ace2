"""`workty api`, `workty orchestrator`, `workty board add` and `workty agent` on a real broker and database."""

from __future__ import annotations

import json
import shlex
import socket
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.user import User
from tests.integration.cli.commands import STOP_SECONDS, Command, Start, one_line
from tests.servers import waiting
from tests.servers.broker import Vhost
from tests.servers.stack import READY_SECONDS, RealStack
from workties.messages import board_queue

pytestmark = pytest.mark.real


@pytest.fixture
def urls(vhost: Vhost, database_url: str) -> dict[str, str]:
    """Settings that commands of the server need."""
    return {"WORKTY_AMQP_URL": vhost.amqp_url, "WORKTY_MONGO_URL": database_url}


def test_api_and_orchestrator_stop_at_once_though_a_client_listens(real_stack: RealStack) -> None:
    with closing(User(real_stack.url)):
        for name in ("api", "orchestrator"):
            process = real_stack.processes[name]
            assert process.terminate(seconds=STOP_SECONDS) == 0, process.tail()
            assert "Traceback" not in process.log.read_text()


def test_a_port_in_use_is_one_line(command: Command, urls: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = one_line(command("api", "--port", address.rpartition(":")[2], **urls), 2)
    assert line == f"workty: {address} cannot be listened on: Address already in use. Choose another --host or --port"


def test_a_name_in_use_is_one_line(command: Command, urls: dict[str, str]) -> None:
    assert command("board", "add", "one", **urls).returncode == 0
    line = one_line(command("board", "add", "one", **urls), 1)
    assert line == "Error: Path `name` is already in use: a board 'one' exists."


def test_a_board_that_a_restored_database_does_not_have_is_added_again_under_its_id(
    command: Command, urls: dict[str, str]
) -> None:
    board = "5f" * 12
    again = ("board", "add", "one", "--id", board)
    assert json.loads(command(*again, "--json", **urls).stdout) == {"id": board, "name": "one", "commands": []}
    assert one_line(command(*again, **urls), 1) == f"Error: Board {board} is known already"
    assert "24 hexadecimal digits" in one_line(command("board", "add", "two", "--id", "x", **urls), 2)


@pytest.mark.parametrize("name", ["", " ", "x" * 257])
def test_a_board_needs_a_name_of_a_sensible_length(command: Command, urls: dict[str, str], name: str) -> None:
    assert "A board's name has 1 to 256 characters" in one_line(command("board", "add", name, **urls), 2)


def test_the_printed_commands_give_exactly_the_rights_that_a_board_needs(
    command: Command, urls: dict[str, str], vhost: Vhost
) -> None:
    added = json.loads(command("board", "add", "one", "--json", **urls).stdout)
    board = added["id"]
    assert (added.keys(), added["name"]) == ({"id", "name", "commands"}, "one")
    user, rights, topics = (shlex.split(line) for line in added["commands"])
    vhost.add_board_account(board, "password")
    path = [vhost.name, board]
    wanted = vhost.broker.management.call("GET", "permissions", *path)
    [on_topics] = vhost.broker.management.call("GET", "topic-permissions", *path)
    scope = ["-p", vhost.name, board]
    assert user[:3] == ["rabbitmqctl", "add_user", board]
    assert rights == [
        *["rabbitmqctl", "set_permissions", *scope],
        *(wanted[kind] for kind in ("configure", "write", "read")),
    ]
    assert topics == [
        *["rabbitmqctl", "set_topic_permissions", *scope],
        *(on_topics[kind] for kind in ("exchange", "write", "read")),
    ]


def test_an_agent_that_is_started_as_printed_takes_work(
    command: Command, start: Start, urls: dict[str, str], vhost: Vhost, tmp_path: Path
) -> None:
    printed = command("board", "add", "one", **urls).stdout
    lines = [shlex.split(line) for line in printed.splitlines() if line.startswith("  ")]
    settings = dict(words[1].split("=", 1) for words in lines if words[:1] == ["export"])
    board = settings["WORKTY_BOARD_ID"]
    [password] = [words[3] for words in lines if words[1:3] == ["add_user", board]]
    vhost.add_board_account(board, password)
    assert urlsplit(settings["WORKTY_AMQP_URL"]).password == password
    agent = start("agent", WORKTY_STATE_DIR=str(tmp_path / "state"), **settings)
    waiting.until(lambda: vhost.consumers(board_queue(board)), seconds=READY_SECONDS, what="the agent", tail=agent.tail)
    assert agent.terminate(seconds=STOP_SECONDS) == 0, agent.tail()
