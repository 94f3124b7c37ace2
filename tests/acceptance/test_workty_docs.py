"""What docs/workties.md shows of a workty's way to a board, letter by letter."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.embedded import EmbeddedServer
from tests.servers.stack import ADMIN, WORKTY

pytestmark = pytest.mark.slow

TEXT = Path("docs/workties.md").read_text(encoding="utf-8")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path) as running:
        yield running


def test_a_new_workty_is_a_step_on_a_board_within_five_minutes(tmp_path: Path, server: EmbeddedServer) -> None:
    commands = re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)[:2]
    login = f"echo {ADMIN[1]} | workty login {server.url} --email {ADMIN[0]} --password-stdin\n"
    environ = {"PATH": f"{Path(WORKTY).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8", "HOME": str(tmp_path)}
    script = ["bash", "-c", "set -eu\n" + login + "".join(commands)]
    done = subprocess.run(script, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, (done, server.process.tail())
    assert "Workty 'tea' 0.1 (" in done.stdout
    assert "Workflow 'once': completed" in done.stdout
    assert "2 parts to do" in done.stdout
