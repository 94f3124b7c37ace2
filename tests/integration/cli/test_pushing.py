"""Workties from their author to boards, as an admin at a terminal does it, on `workty up`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.cli.commands import Command, Ended, one_line
from tests.servers.embedded import EmbeddedServer
from tests.servers.stack import ADMIN, REQUEST_SECONDS

MANIFEST = """
name = "greeter"
version = "{version}"
language = "python"
entry = "main.py"
description = "Greets"

[[properties]]
name = "{name}"
default = "you"
"""
CODE = "print('hello from {version}')"
FILE = "name: greeting\nsteps:\n  - workty: greeter\n    name: hi\n    properties: {{{name}: me}}\n{more}"

Workty = Callable[..., Ended]
Write = Callable[..., str]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("up")) as running:
        yield running


@pytest.fixture
def workty(server: EmbeddedServer, command: Command) -> Workty:
    """Runs a command to its end as the first admin."""
    answer = requests.post(f"{server.url}/api/v1/tokens", json={}, auth=ADMIN, timeout=REQUEST_SECONDS)
    settings = {"WORKTY_URL": server.url, "WORKTY_TOKEN": str(answer.json()["token"])}
    return lambda *arguments: command(*arguments, **settings)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the folder of a workty of this version, with one property; returns its name."""

    def save(version: str, name: str = "who", code: str = CODE) -> str:
        folder = tmp_path / "greeter"
        folder.mkdir(exist_ok=True)
        (folder / "workty.toml").write_text(MANIFEST.format(version=version, name=name))
        (folder / "main.py").write_text(code.format(version=version))
        return folder.name

    return save


def document(ended: Ended) -> Any:
    assert ended.returncode == 0, ended
    return json.loads(ended.stdout)


def test_a_workty_is_pushed_run_pushed_again_and_upgraded(tmp_path: Path, workty: Workty, write: Write) -> None:
    first = document(workty("workty", "push", write("1.0"), "--template", "--price", "150", "--json"))
    assert (first["name"], first["version"], first["outcome"]) == ("greeter", "1.0", "new")
    same = workty("workty", "push", write("1.0"))
    assert same.stdout == f"Workty 'greeter' 1.0 ({first['id']}): unchanged\nsha256 {first['sha256']}\n"

    refused = one_line(workty("workty", "push", write("1.0", code="print()")), 1)
    assert refused.startswith("workty: greeter 1.0 was not pushed: workty 'greeter' has version 1.0 already")
    assert refused.endswith("raise `version` in workty.toml.")

    (tmp_path / "file.yml").write_text(FILE.format(name="who", more=""))
    assert "hello from 1.0" in workty("run", "file.yml", "--logs").stdout
    newer = document(workty("workty", "push", write("1.1", name="whom"), "--json"))
    assert (newer["id"], newer["outcome"]) == (first["id"], "new version")
    assert "hello from 1.0" in workty("run", "greeting", "--logs").stdout
    listed = workty("workty", "versions", "greeter").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["version", "1.1", "1.0"]

    absent = one_line(workty("upgrade", "greeting", "--to", "9"), 2)
    assert absent.endswith("step 'hi' has no version '9'. There are 1.1, 1.0")
    assert one_line(workty("upgrade", "greeting", "--step", "x"), 2).endswith("has no step 'x'. It has hi")
    assert workty("upgrade", "greeting").stdout == "hi: 1.0 -> 1.1 new: whom; gone: who\n"
    assert workty("upgrade", "greeting", "--step", "hi").stdout == "hi: stays at 1.1\n"
    assert "hello from 1.1" in workty("run", "greeting", "--logs").stdout

    (tmp_path / "file.yml").write_text(FILE.format(name="who", more='    version: "1.0"'))
    assert "hello from 1.0" in workty("run", "file.yml", "--logs").stdout
    [workflow] = document(workty("workflows", "--json"))
    [instance] = workflow["instances"]
    assert (instance["version"], [p["value"] for p in instance["properties"]]) == ("1.0", ["me"])
    assert document(workty("workty", "push", write("1.0"), "--json"))["outcome"] == "former version"
    [described] = [found for found in document(workty("workties", "--json")) if found["name"] == "greeter"]
    assert (described["version"], described["price"], described["desc"]) == ("1.0", 150, "Greets")


def test_a_regular_account_is_told_who_may_push(server: EmbeddedServer, command: Command, write: Write) -> None:
    account = {"name": "tester", "email": "tester@mail.com", "password": "my-password"}
    url = f"{server.url}/api/v1"
    requests.post(f"{url}/accounts", json=account, auth=ADMIN, timeout=REQUEST_SECONDS).raise_for_status()
    login = (account["email"], account["password"])
    token = requests.post(f"{url}/tokens", json={}, auth=login, timeout=REQUEST_SECONDS).json()["token"]
    refused = one_line(command("workty", "push", write("1.0"), WORKTY_URL=server.url, WORKTY_TOKEN=str(token)), 1)
    assert refused == "workty: greeter 1.0 was not pushed: only admins may push workties; log in as one: workty login"


def test_what_cannot_be_pushed_is_told_before_the_server_is_asked(tmp_path: Path, command: Command) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    told = command("workty", "push", "empty", WORKTY_URL="http://127.0.0.1:1", WORKTY_TOKEN="t")
    assert (told.returncode, told.stdout) == (1, "")
    assert "empty/workty.toml: no such file" in told.stderr
    assert "bad.zip: the package is no zip" in one_line(command("workty", "push", "bad.zip"), 1)
