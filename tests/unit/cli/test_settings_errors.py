"""Whatever is missing or wrong when a command starts is one line and exit code 2, wherever it was set."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.cli.main import main

SERVER = {"amqp_url": "amqp://me:hidden@broker/workty", "mongo_url": "mongodb://me:hidden@db/workty"}
BOARD = {
    "amqp_url": "amqp://one:hidden@broker/workty",
    "board_id": "one",
    "server_url": "http://server:9999",
}
COMMANDS = {
    ("api",): SERVER,
    ("orchestrator",): SERVER,
    ("board", "add", "one"): SERVER,
    ("agent",): BOARD,
    ("up",): {},
}
SERVER_COMMANDS = [command for command in COMMANDS if command != ("agent",)]

WRONG_FOR_THE_SERVER = [
    ("amqp_url", "redis://me:hidden@broker"),
    ("amqp_url", "amqp://me:hidden@broker:port/workty"),
    ("mongo_url", "mongodb://me:hidden@db"),
    ("host", "no host"),
    ("port", "0"),
    ("port", "many"),
    ("public_url", "server"),
    ("admin_email", "nobody"),
    ("heartbeat_timeout_seconds", "-1"),
    ("lost_after_seconds", "soon"),
    ("log_level", "LOUD"),
]
WRONG_FOR_A_BOARD = [
    ("amqp_url", "redis://one:hidden@broker"),
    ("amqp_url", "amqp://one:hidden@broker:port/workty"),
    ("board_id", "a.b"),
    ("server_url", "server"),
    ("slots", "0"),
    ("slots", "many"),
    ("heartbeat_seconds", "60"),
    ("heartbeat_seconds", "soon"),
    ("cache_bytes", "-1"),
    ("ca_file", "/nowhere/ca.pem"),
    ("state_dir", "/dev/null/state"),
]
WRONG = [(command, *wrong) for command in SERVER_COMMANDS for wrong in WRONG_FOR_THE_SERVER]
WRONG += [(("agent",), *wrong) for wrong in WRONG_FOR_A_BOARD]
MISSING = [(command, name) for command, needed in COMMANDS.items() for name in needed]


def shown(value: str | tuple[str, ...]) -> str:
    """A parameter in the name of a test."""
    return value if isinstance(value, str) else " ".join(value)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WORKTY_")]:
        monkeypatch.delenv(name)


def from_environment(command: tuple[str, ...], settings: dict[str, str]) -> Result:
    environ = {f"WORKTY_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(main, list(command), env=environ)


def from_file(command: tuple[str, ...], settings: dict[str, str], directory: Path) -> Result:
    path = directory / "workty.toml"
    path.write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items()))
    return CliRunner().invoke(main, list(command), env={"WORKTY_CONFIG": str(path)})


def line_of(result: Result) -> str:
    """The one line that was said."""
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    [line] = result.stderr.splitlines()
    assert "hidden" not in line
    return str(line)


@pytest.mark.parametrize("source", ["environment", "file"])
@pytest.mark.parametrize(("command", "name"), MISSING, ids=shown)
def test_a_missing_setting_is_one_line_that_says_what_to_set(
    command: tuple[str, ...], name: str, source: str, tmp_path: Path
) -> None:
    others = {key: value for key, value in COMMANDS[command].items() if key != name}
    result = from_environment(command, others) if source == "environment" else from_file(command, others, tmp_path)
    assert line_of(result).startswith(f"workty: WORKTY_{name.upper()} is not set. ")


@pytest.mark.parametrize(("command", "name", "value"), WRONG, ids=shown)
def test_a_wrong_variable_is_one_line_that_names_it(command: tuple[str, ...], name: str, value: str) -> None:
    line = line_of(from_environment(command, {**COMMANDS[command], name: value}))
    assert line.startswith(f"workty: WORKTY_{name.upper()}")


@pytest.mark.parametrize(("command", "name", "value"), WRONG, ids=shown)
def test_a_wrong_entry_of_a_file_is_one_line_that_names_it(
    command: tuple[str, ...], name: str, value: str, tmp_path: Path
) -> None:
    line = line_of(from_file(command, {**COMMANDS[command], name: value}, tmp_path))
    assert name in line.lower()


@pytest.mark.parametrize("command", COMMANDS, ids=shown)
def test_a_file_that_is_not_there_is_one_line(command: tuple[str, ...]) -> None:
    environ = {f"WORKTY_{name.upper()}": value for name, value in COMMANDS[command].items()}
    result = CliRunner().invoke(main, list(command), env=environ | {"WORKTY_CONFIG": "/nowhere/workty.toml"})
    line = line_of(result)
    assert "/nowhere/workty.toml" in line
    assert "No such file" in line
