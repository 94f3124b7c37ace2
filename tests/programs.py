"""Starts programs as a board does: a process of its own, two pipes, an input file, and little else."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from worker_agent.commands import command, make_executable
from worker_agent.heartbeat import find_runtimes
from workties import bounds, protocol
from workties.helpers import helper_file
from workties.messages import Checkpoint
from workties.protocol import Line, StateLine, parse_line

ROOT = Path(__file__).parents[1]
LANGUAGES = {".py": "python", ".js": "nodejs", ".sh": "executable", ".java": "java", ".class": "java", ".jar": "java"}


class Program:
    """A started program: what it says, and how it ended. What it says is read at once, unless it is not `heard`."""

    def __init__(
        self, command: list[str], given: dict[str, Any], folder: Path, stack: ExitStack, *, heard: bool
    ) -> None:
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
                    "TMPDIR": tempfile.mkdtemp(dir=folder),
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
        self._said: Queue[bytes] = Queue()
        if heard:
            ears = Thread(target=self._hear)
            stack.callback(ears.join)
            ears.start()
        stack.callback(self.process.kill)
        os.close(theirs)
        os.close(mine)

    def until(self, wanted: Callable[[Line], bool]) -> Line:
        """Read lines up to the first that is wanted."""
        for line in self._lines():
            if wanted(found := parse_line(line)):
                return found
        raise AssertionError(f"the program ended before: {self.end()}")

    def lines(self) -> list[Line]:
        """All lines that have not been read, up to the program's end."""
        return [parse_line(line) for line in self._lines()]

    def pause(self) -> None:
        self._control.write(protocol.PAUSE_LINE)

    def leave(self) -> None:
        """Close the pipes as they close when the agent is killed."""
        self._control.close()

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        stdout, stderr = self.process.communicate()
        return self.process.returncode, stdout.decode(), stderr.decode()

    def _hear(self) -> None:
        for line in self._events:
            self._said.put(line)
        self._said.put(b"")

    def _lines(self) -> Iterator[bytes]:
        while line := self._said.get():
            yield line
        self._said.put(b"")


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(source or path, property=..., checkpoint=..., board=...): a program in the language of its suffix."""
    with ExitStack() as stack:

        def begin(
            code: str | Path,
            *,
            checkpoint: Checkpoint | None = None,
            board: str = "board-01",
            heard: bool = True,
            **properties: Any,
        ) -> Program:
            if isinstance(code, str):
                (tmp_path / "main.py").write_text(code)
                code = tmp_path / "main.py"
            language = LANGUAGES[code.suffix]
            if language == "executable":
                make_executable(code, code.name, platform.machine())
            given = {
                "properties": properties,
                "checkpoint": asdict(checkpoint) if checkpoint else None,
                "attempt": 1,
                "entry": code.name,
                "workty": "tested",
                "board": board,
            }
            return Program(
                list(command(language, code.name, code.parent, find_runtimes())), given, tmp_path, stack, heard=heard
            )

        yield begin


@pytest.fixture
def states() -> Callable[[list[Line]], list[str]]:
    """The states among some lines, in order."""
    return lambda lines: [line.state for line in lines if isinstance(line, StateLine)]


@pytest.fixture
def nodejs(tmp_path: Path) -> Callable[[str], Path]:
    """nodejs(code): the entry point of a program with the helper library beside it."""

    def make(code: str) -> Path:
        if shutil.which("node") is None:
            pytest.fail("this test runs NodeJS: install nodejs 18 or newer", pytrace=False)
        shutil.copy(str(helper_file("nodejs")), tmp_path)
        (tmp_path / "main.js").write_text(code)
        return tmp_path / "main.js"

    return make


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """java(code): the class Main of a program with the helper library, compiled once."""
    compiled: dict[str, Path] = {}

    def make(code: str) -> Path:
        if code not in compiled:
            compiled[code] = _compile(code, tmp_path_factory.mktemp("java"))
        return compiled[code]

    return make


def _compile(code: str, folder: Path) -> Path:
    if shutil.which("javac") is None:
        pytest.fail("this test compiles Java: install default-jdk-headless", pytrace=False)
    (folder / "Main.java").write_text(code)
    sources = [str(folder / "Main.java"), str(helper_file("java"))]
    subprocess.run(["javac", "--release", "11", "-Xlint:all", "-Werror", "-d", str(folder), *sources], check=True)
    return folder / "Main.class"
