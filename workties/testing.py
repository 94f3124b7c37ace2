"""Runs a workty inside of a test, without server, board or process of its own: what it did comes back as data.

    from workties.testing import run

    result = run("countdown", properties={"from": 2})
    assert result.states == ["counting", "counting", "celebrating"]
    assert result.output == {"counted": 2}

What only boards do is not here: limits, the sandbox, interruptions in the midst of a state.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from workties.channel import Channel, encode_line
from workties.errors import BadWorkty
from workties.launch import workty_class
from workties.manifest import MANIFEST, Manifest, parse_manifest
from workties.messages import Checkpoint
from workties.properties import fill_declared
from workties.protocol import LogText, OutputLine, PausedLine, ProgressLine, StateLine, parse_line
from workties.sdk import Workty

#: Lines after which a workty counts as one that never ends.
MAX_LINES = 20_000
#: The board that workties in tests run on.
BOARD = "test"

_MODULE = "workty_under_test"


@dataclass(slots=True)
class Result:
    """What a workty did.

    Attributes:
        states: those that it entered, in order; a state entered twice is there twice.
        progress: each report: fraction from 0 to 1, and the words beside it.
        log: lines of its log. What it prints is left to the test's own tools.
        output: what it had to say in the end; empty if it was paused.
        checkpoints: all of them, in order.
        paused: it ended because of the pause that was asked.
        waited: seconds that it wanted to wait, all in all.
    """

    states: list[str] = field(default_factory=list)
    progress: list[tuple[float, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    output: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    paused: bool = False
    waited: float = 0.0

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last one: `run` goes on from it. None if the workty made none."""
        return self.checkpoints[-1] if self.checkpoints else None


def run(
    workty: type[Workty] | str | Path,
    *,
    properties: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
    pause_in: str | None = None,
    sleep: Callable[[float], object] = lambda seconds: None,
) -> Result:
    """Run a workty to its end or to a pause, and say what it did.

    Args:
        workty: its class, or the path of its folder or file. If a manifest lies beside the file, properties get the
            types and defaults that it declares.
        properties: values by name.
        checkpoint: goes on from here, e.g. from the `checkpoint` of an earlier result.
        pause_in: a pause is asked right after this state was entered; the workty ends at its next `wait` or checkpoint.
        sleep: what `self.wait` does; by default nothing, so that tests take no time. `time.sleep` waits indeed.

    Raises:
        BadProperties: a value does not fit, or the manifest does not declare its name.
        BadWorkty: the class or file is none that can be run, or the workty does not end.
        Exception: whatever its code raises.
    """
    recorder = _Recorder(pause_in, sleep)
    with _loaded(workty) as (kind, manifest):
        given = {
            "properties": fill_declared(manifest.properties, properties or {}) if manifest else dict(properties or {}),
            "checkpoint": asdict(checkpoint) if checkpoint else None,
            "board": BOARD,
            "attempt": 2 if checkpoint else 1,
        }
        kind(given, recorder).run()
    return recorder.result


class _Recorder(Channel):
    """A channel that keeps what is sent, checked as an agent checks it."""

    def __init__(self, pause_in: str | None, sleep: Callable[[float], object]) -> None:
        self.result = Result()
        self._pause_in, self._sleep = pause_in, sleep
        self._entered = self._asked = False
        self._left = MAX_LINES

    def send(self, kind: str, **fields: object) -> None:
        """Keep a line. Raises `BadMessage` as the agent's channel does."""
        self._left -= 1
        if self._left < 0:
            raise BadWorkty(f"still going after {MAX_LINES} lines; does it wait for a clock? See `sleep`")
        result = self.result
        match parse_line(encode_line(kind, **fields)):
            case StateLine(state, memory):
                result.checkpoints.append(Checkpoint(state, memory))
            case ProgressLine(fraction, message):
                result.progress.append((fraction, message))
            case LogText(text):
                result.log.append(text)
            case OutputLine(output):
                result.output.update(output)
            case PausedLine():
                result.paused = True

    def entering(self, state: str) -> None:
        """A state is entered."""
        self.result.states.append(state)
        self._entered = state == self._pause_in and not self._asked

    def pause_asked(self, seconds: float = 0.0) -> bool:
        """Whether the pause has been asked; before it was, waits as long as `seconds`."""
        if self._entered:
            # Asked right after the checkpoint with which the state is entered, so that its handler begins.
            self._entered, self._asked = False, True
            return False
        if seconds and not self._asked:
            self.result.waited += seconds
            self._sleep(seconds)
        return self._asked


@contextmanager
def _loaded(workty: type[Workty] | str | Path) -> Iterator[tuple[type[Workty], Manifest | None]]:
    """The class to run, and the manifest beside its file."""
    if isinstance(workty, type):
        yield workty, _manifest(Path(inspect.getfile(workty)).parent)
        return
    path = Path(workty).resolve()
    manifest = _manifest(path if path.is_dir() else path.parent)
    if path.is_dir():
        if manifest is None:
            raise BadWorkty(f"{path} has no {MANIFEST}; name the file to run")
        path = path / manifest.entry
    with _module(path) as module:
        kind = workty_class(module)
        if kind is None:
            raise BadWorkty(f"{path} defines no subclass of Workty; only such a class can be run in a test")
        yield kind, manifest


def _manifest(folder: Path) -> Manifest | None:
    file = folder / MANIFEST
    return parse_manifest(file.read_text("utf-8")) if file.is_file() else None


@contextmanager
def _module(file: Path) -> Iterator[ModuleType]:
    """The module in `file`. It finds those beside it as it does on a board, and nothing of them is left afterwards."""
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    if spec is None or spec.loader is None:
        raise BadWorkty(f"{file} is no file of Python")
    before, path = set(sys.modules), str(file.parent)
    sys.path.insert(0, path)
    try:
        module = sys.modules[_MODULE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(path)
        for name in set(sys.modules) - before:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(path + "/"):
                del sys.modules[name]
