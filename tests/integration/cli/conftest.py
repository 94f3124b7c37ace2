"""The command line as a user starts it: commands that end by themselves, and commands that are left running."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.cli.commands import Command, Ended, Start
from tests.servers.ports import Ports
from tests.servers.process import ServerProcess
from tests.servers.stack import WORKTY

#: A command that ends by itself takes no longer than this on a slow and busy machine, seconds.
COMMAND_SECONDS = 60


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What every command has in its environment: a port of its own, an empty directory for temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    ports = Ports(1)
    yield {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(tmp_path),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "WORKTY_PORT": str(ports.numbers[0]),
    }
    ports.release()


@pytest.fixture
def command(environ: dict[str, str], tmp_path: Path) -> Command:
    """`command("board", "add", "name", WORKTY_PORT="80")` runs a command to its end; `stdin` is a file."""

    def run(*arguments: str, stdin: Path = Path(os.devnull), **settings: str) -> Ended:
        with stdin.open("rb") as typed:
            return subprocess.run(
                [WORKTY, *arguments],
                env=environ | settings,
                cwd=tmp_path,
                stdin=typed,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )

    return run


@pytest.fixture
def start(environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """`start("agent", WORKTY_BOARD_ID="b")` starts a command that is left running until the test ends."""
    with ExitStack() as started:

        def begin(*arguments: str, **settings: str) -> ServerProcess:
            process = ServerProcess(
                [WORKTY, *arguments], directory=tmp_path, environ=environ | settings, name=arguments[0]
            )
            started.callback(process.end)
            return process

        yield begin
