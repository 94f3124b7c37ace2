"""Starts programs as a board does: a process of its own, two pipes, an input file, and little else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from workties import bounds, protocol
from workties.messages import Checkpoint
from workties.protocol import Line, StateLine, parse_line

ROOT = Path(__file__).parents[3]


class Program:
    """A started program: what it says, and how it ended."""

    def __init__(self, command: list[str], given: dict[str, Any], folder: Path, stack: ExitStack) -> None:
        (folder / "input.json").write_text(json.dumps(given))
        events, theirs = os.pipe()
        mine, control = os.pipe()
        self._events = stack.enter_context(os.fdopen(events, "rb"))
        self._control = stack.enter_context(os.fdopen(control, "wb", buffering=0))
        self.process = stack.enter_context(
            subprocess.Popen(
                command,
                cwd=folder,
                env={
                    "PATH": os.environ["PATH"],
                    "LANG": "C.UTF-8",
                    "PYTHONPATH": str(ROOT),
                    bounds.EVENTS_FD: str(theirs),
                    bounds.CONTROL_FD: str(mine),
                    bounds.INPUT: str(folder / "input.json"),
                },
                pass_fds=(theirs, mine),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        stack.callback(self.process.kill)
        os.close(theirs)
        os.close(mine)

    def until(self, wanted: Callable[[Line], bool]) -> Line:
        """Read lines up to the first that is wanted."""
        for line in self._events:
            if wanted(found := parse_line(line)):
                return found
        raise AssertionError(f"the program ended before: {self.end()}")

    def lines(self) -> list[Line]:
        """All lines that have not been read, up to the program's end."""
        return [parse_line(line) for line in self._events]

    def pause(self) -> None:
        self._control.write(protocol.PAUSE_LINE)

    def leave(self) -> None:
        """Close the pipes as they close when the agent is killed."""
        self._control.close()

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        stdout, stderr = self.process.communicate()
        return self.process.returncode, stdout.decode(), stderr.decode()


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(source or path, property=..., checkpoint=..., board=...): Python by the launcher, else by Node."""
    with ExitStack() as stack:

        def begin(
            code: str | Path, *, checkpoint: Checkpoint | None = None, board: str = "", **properties: Any
        ) -> Program:
            if isinstance(code, str):
                (tmp_path / "main.py").write_text(code)
                code = tmp_path / "main.py"
            launcher = [sys.executable, "-P", "-m", "workties.launch"] if code.suffix == ".py" else ["node"]
            given = {
                "properties": properties,
                "checkpoint": asdict(checkpoint) if checkpoint else None,
                "attempt": 1,
                "entry": code.name,
                "workty": "tested",
                "board": board,
            }
            return Program([*launcher, str(code)], given, tmp_path, stack)

        yield begin


@pytest.fixture
def states() -> Callable[[list[Line]], list[str]]:
    """The states among some lines, in order."""
    return lambda lines: [line.state for line in lines if isinstance(line, StateLine)]
