"""The walk-through of the README, letter by letter, in a shell; only the port is the test's own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.servers.embedded import EmbeddedServer
from tests.servers.stack import WORKTY
from workties.package import inspect, pack

pytestmark = pytest.mark.slow

README = Path("README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of the walk-through and of what follows it."""
    section = README[README.index("## Walk-through") :]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def test_the_walk_through_works_as_it_is_written(tmp_path: Path) -> None:
    start, *steps = blocks("sh")
    settings = dict(re.findall(r"(WORKTY_\w+)=(\S+)", start))
    assert start.split()[-2:] == ["make", "up"]
    with EmbeddedServer(tmp_path, settings) as server:
        path = f"{Path(WORKTY).parent}:{os.environ['PATH']}"
        environ = {"PATH": path, "LANG": "C.UTF-8", "HOME": str(tmp_path), "SERVER": server.url}
        script = "set -eu\n" + "\n".join(steps) + "\nuntil states | grep -q stopped; do sleep 0.2; done\nstates"
        run = subprocess.run(
            ["bash", "-c", script],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    assert '"error"' not in run.stdout
    assert "completed completed completed" in run.stderr.splitlines()
    assert "Workflow 'nightly': completed" in run.stdout.splitlines()
    assert run.stdout.splitlines()[-1].split()[0] == "stopped"


def test_the_example_of_a_workty_runs(tmp_path: Path) -> None:
    [example] = blocks("python")
    (tmp_path / "main.py").write_text(example, encoding="utf-8")
    (tmp_path / "workty.toml").write_text('name = "copy"\nversion = "1"\nlanguage = "python"\nentry = "main.py"\n')
    assert inspect(pack(tmp_path)).entry == "main.py"
    events, output = os.pipe()
    given = tmp_path / "input.json"
    given.write_text(
        '{"properties": {"delay": 0.01}, "checkpoint": null, "attempt": 1, "entry": "main.py", "workty": "copy"}'
    )
    environ = {"PATH": os.environ["PATH"], "WORKTY_INPUT": str(given), "WORKTY_EVENTS_FD": str(output)}
    python = str(Path(WORKTY).with_name("python"))
    command = [python, "-m", "workties.launch", str(tmp_path / "main.py")]
    run = subprocess.run(
        command, env=environ, pass_fds=[output], capture_output=True, text=True, timeout=60, check=False
    )
    os.close(output)
    with os.fdopen(events) as lines:
        said = lines.read()
    assert run.returncode == 0, run.stderr
    assert '"copied": 3' in said.replace('":3', '": 3')
