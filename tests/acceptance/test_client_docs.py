"""What docs/client.md shows, letter by letter; only the port is the test's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli.main import main
from tests.servers.embedded import EmbeddedServer
from tests.servers.stack import WORKTY

pytestmark = pytest.mark.slow

TEXT = Path("docs/client.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    settings = dict(re.findall(r"(WORKTY_ADMIN_PASSWORD)=(\S+)", TEXT))
    with EmbeddedServer(tmp_path, settings) as running:
        yield running


def output(command: list[str], tmp_path: Path, server: EmbeddedServer) -> str:
    """What a command prints that must succeed."""
    path = f"{Path(WORKTY).parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "LANG": "C.UTF-8", "HOME": str(tmp_path), "SERVER": server.url}
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done
    return done.stdout


def test_the_commands_work_as_they_are_written(tmp_path: Path, server: EmbeddedServer) -> None:
    [definition] = blocks("yaml")
    (tmp_path / "nightly.yml").write_text(definition)
    printed = output(["bash", "-c", "set -eu\n" + "\n".join(blocks("sh"))], tmp_path, server)
    assert printed.startswith(f"Logged in at {server.url}")
    assert "Workflow 'nightly' is new." in printed
    assert "Workflow 'nightly' was changed." in printed
    assert printed.count("Workflow 'nightly': completed") == 2
    assert printed.endswith(f"Logged out at {server.url}.\n")


def test_the_python_program_works_as_it_is_written(tmp_path: Path, server: EmbeddedServer) -> None:
    [program] = blocks("python")
    assert "http://127.0.0.1:9999" in program
    printed = output([sys.executable, "-c", program.replace("http://127.0.0.1:9999", server.url)], tmp_path, server)
    assert "one running board-1" in printed
    assert re.search(r"^\d+% waited", printed, flags=re.MULTILINE)
    assert printed.splitlines()[-1] == "['completed']"


def test_every_command_of_users_is_shown() -> None:
    users = main.sections["Run workflows"]
    assert {name for name in users if f"workty {name}" not in "\n".join(blocks("sh"))} == set()
