"""The command line itself: what it lists, completes, and needs to be installed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from api.cli.main import main

#: Makes imports fail as on a machine where these are not installed.
BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from api.cli.main import main
main({arguments!r})
"""
SERVER = {"flask", "flask_restx", "flask_socketio", "pymongo", "bson", "mongomock", "celery", "kombu", "transitions"}
SERVER |= {"orchestrator", "worker_agent", "workties"}
CLIENT = {"requests", "socketio", "engineio", "rich", "yaml"}


def command(blocked: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    code = BLOCKED.format(blocked=blocked, arguments=list(arguments))
    environ = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "WORKTY_URL": "http://127.0.0.1:1", "WORKTY_TOKEN": "t"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_users_commands_need_nothing_of_server_and_board() -> None:
    done = command(SERVER, "workflows")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "workty: http://127.0.0.1:1 cannot be reached: nothing answers at this address\n"


@pytest.mark.parametrize("arguments", [["workflows"], ["run", "x"], ["login", "http://a"], ["logout"]])
def test_where_the_client_is_not_installed_it_says_how_to(arguments: list[str]) -> None:
    done = command(CLIENT, *arguments)
    assert done.returncode == 1
    assert done.stderr == "workty: requests is not installed. Install what it needs: pip install 'workty[client]'\n"


def test_boards_need_nothing_of_the_client() -> None:
    assert "Run a board's agent" in command(CLIENT, "agent", "--help").stdout


def test_workties_are_checked_with_nothing_installed_but_run_with_what_boards_and_clients_have() -> None:
    everything = CLIENT | SERVER - {"orchestrator", "worker_agent", "workties"}
    folder = "workties/builtin/with-delay"
    assert command(everything, "workty", "check", folder).stdout.startswith(f"{folder}: nothing is wrong")
    refused = command(everything, "workty", "run", folder)
    assert refused.returncode == 1
    install = "pip install 'workty[board,client]'"
    assert refused.stderr == f"workty: rich is not installed. Install what it needs: {install}\n"
    blocked = everything - {"rich", "transitions"}
    assert "completed" in command(blocked, "workty", "run", folder, "-p", "delay=0").stdout


def test_the_help_lists_every_command_once_under_a_heading_in_one_line_each() -> None:
    shown = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    listed = [line.split()[0] for line in shown[shown.index("Try it:") :].splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(main.commands)
    assert "Others:" not in shown
    assert "..." not in shown[shown.index("Try it:") :]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert "_WORKTY_COMPLETE" in done.output


def test_an_unknown_shell_is_wrong_use() -> None:
    assert CliRunner().invoke(main, ["completion", "dos"]).exit_code == 2
