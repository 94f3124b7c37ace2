"""`workty up` and `workty demo`: ready when they say so, gone without a trace when told to stop."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.acceptance.user import User
from tests.integration.cli.commands import STOP_SECONDS, Command, Start, one_line
from tests.servers import waiting
from tests.servers.embedded import EmbeddedServer
from tests.servers.guard import children
from tests.servers.process import ServerProcess
from tests.servers.stack import READY_SECONDS, REQUEST_SECONDS


def greeting(process: ServerProcess) -> str:
    """What `workty up` says when it is ready."""

    def said() -> str:
        assert process.alive, process.tail()
        text = process.log.read_text()
        return text if "Stop it with ctrl-c." in text else ""

    return waiting.until(said, seconds=READY_SECONDS, what="workty up to be ready", tail=process.tail)


def url_in(text: str) -> str:
    found = re.search(r"Workty is ready: (http://\S+)/api/v1", text)
    assert found, text
    return found[1]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_it_serves_on_a_free_port_which_it_prints(start: Start) -> None:
    url = url_in(greeting(start("up", "--port", "0")))
    assert not url.endswith((":0", ":9999"))
    assert requests.get(f"{url}/healthz", timeout=REQUEST_SECONDS).status_code == 200


def test_it_serves_on_ipv6(start: Start) -> None:
    url = url_in(greeting(start("up", "--host", "::1", "--port", "0")))
    assert url.startswith("http://[::1]:")
    assert requests.get(f"{url}/healthz", timeout=REQUEST_SECONDS).status_code == 200


def test_a_generated_password_is_shown_once_and_is_the_right_one(start: Start) -> None:
    process = start("up", "--port", "0", WORKTY_ADMIN_EMAIL="me@localhost")
    text = greeting(process)
    found = re.search(r"me@localhost, password (\S+) \(generated, shown once\)", text)
    assert found, text
    tokens = f"{url_in(text)}/api/v1/tokens"
    assert requests.post(tokens, auth=("me@localhost", found[1]), timeout=REQUEST_SECONDS).status_code == 201
    assert requests.post(tokens, auth=("me@localhost", "another"), timeout=REQUEST_SECONDS).status_code == 401
    assert process.terminate(seconds=STOP_SECONDS) == 0
    assert process.log.read_text().count(found[1]) == 1


def test_a_chosen_password_is_not_shown(start: Start) -> None:
    process = start("up", "--port", "0", WORKTY_ADMIN_PASSWORD="chosen-by-me")
    assert "password from WORKTY_ADMIN_PASSWORD" in greeting(process)
    assert process.terminate(seconds=STOP_SECONDS) == 0
    assert "chosen-by-me" not in process.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_and_leaves_nothing_though_a_step_runs_and_a_client_listens(
    tmp_path: Path, environ: dict[str, str], number: signal.Signals
) -> None:
    with EmbeddedServer(tmp_path, environ) as server, closing(User(server.url)) as user:
        workflow = user.workflow(("with-delay", {"delay": 60}))
        user.run(workflow)
        user.until_step(workflow, 0, "running")
        waiting.until(lambda: children(server.process.pid), seconds=READY_SECONDS, what="the step's process")
        guard = parent_of(server.process.pid)
        server.process.signal(number)
        assert server.process.wait(seconds=STOP_SECONDS) == 0, server.process.tail()
        assert children(guard) == [], "whatever it left behind becomes the guard's child"
        assert list(Path(environ["TMPDIR"]).iterdir()) == []
        assert "Traceback" not in server.process.log.read_text()


def test_a_port_in_use_is_one_line(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = one_line(command("up", "--port", str(port)), 2)
    assert line == (
        f"workty: 127.0.0.1:{port} cannot be listened on: Address already in use. Choose another --host or --port"
    )


def test_a_wrong_address_of_the_first_account_is_one_line(command: Command) -> None:
    line = one_line(command("up", "--port", "0", WORKTY_ADMIN_EMAIL="nobody"), 2)
    assert line == "workty: WORKTY_ADMIN_EMAIL must be an e-mail address, not 'nobody', e.g. supervisor@localhost"


@pytest.mark.slow
def test_the_demo_shows_every_step_completed_and_leaves_nothing(command: Command, environ: dict[str, str]) -> None:
    ended = command("demo", COLUMNS="120")
    assert ended.returncode == 0, ended
    assert "Workflow 'Bake bread': completed" in ended.stdout
    summary = ended.stdout.partition("Workflow 'Bake bread'")[2]
    for name in ("check tools", "warm oven", "mix dough", "bake", "cool", "serve"):
        assert re.search(rf"\b{name} +\S+ +completed +board-[12] +1 +[0-9.]+ s", summary), summary
    assert ended.stderr == ""
    assert list(Path(environ["TMPDIR"]).iterdir()) == []
