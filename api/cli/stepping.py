"""Runs one step of a workty right here, as a board's agent would run it, but without agent, server and sandbox.

The only module of the command line that knows how the agent starts and watches the program of a step.
"""

from __future__ import annotations

import platform
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from worker_agent.commands import command, make_executable
from worker_agent.heartbeat import find_runtimes
from worker_agent.orders import Orders, Stop
from worker_agent.outcome import Outcome
from worker_agent.process import Launch, StepProcess
from worker_agent.supervise import Supervisor
from workties.messages import Assignment, Checkpoint, Limits, Program, Property, Reason
from workties.package import PackageInfo, unpack
from workties.protocol import step_input

#: Why a step ends that its author ends.
STOPPED = Reason("stopped", "stopped by ctrl-c")

_BOARD = "here"


@dataclass(frozen=True, slots=True)
class LocalStep:
    """What to run: a package (the zip, and what inspection says of it), property values, a checkpoint to go on from."""

    data: bytes
    info: PackageInfo
    name: str
    limits: Limits
    properties: Mapping[str, Any]
    checkpoint: Checkpoint | None = None


class Watcher(Protocol):
    """Who is told what a step does; from a thread of its own."""

    def state(self, checkpoint: Checkpoint) -> None:
        """It entered a state, or made a checkpoint."""

    def progress(self, fraction: float, message: str) -> None:
        """It is this far."""

    def line(self, stream: str, text: str) -> None:
        """It wrote a line."""


def has_runtime(language: str) -> bool:
    """Whether programs of a language can run here."""
    return language in find_runtimes()


def run_step(
    step: LocalStep, watcher: Watcher, *, pause_after: str | None = None, tell: Callable[[str], object]
) -> Outcome:
    """Run a step to its end. Ctrl-c ends it as a board's stop does: SIGTERM, then SIGKILL; a second one kills at once.

    Args:
        watcher: is told what the step does.
        pause_after: a pause is asked when the step has entered this state.
        tell: is called with words for whoever pressed ctrl-c.

    Raises:
        OSError: the program cannot be started.
        BadPackage: its entry point is nothing that can be started here.
    """
    orders = Orders()
    with TemporaryDirectory(prefix="workty-") as base, _interrupts(orders, tell):
        process = StepProcess(_launch(step, Path(base)))
        try:
            told = _Told(watcher, orders, pause_after)
            return _in_thread(Supervisor(process, orders, told, step.limits).run)
        finally:
            process.close()
            orders.close()


def _launch(step: LocalStep, base: Path) -> Launch:
    package, home, input_file = base / "package", base / "home", base / "input.json"
    unpack(step.data, package)
    if step.info.language == "executable":
        make_executable(package / step.info.entry, step.info.entry, platform.machine())
    home.mkdir()
    input_file.write_bytes(step_input(_assignment(step)))
    return Launch(
        command=command(step.info.language, step.info.entry, package, find_runtimes(), step.limits.memory),
        package=package,
        home=home,
        input_file=input_file,
        limits=step.limits,
    )


def _assignment(step: LocalStep) -> Assignment:
    """The step as a server would send it; nobody reads the ids."""
    return Assignment(
        id=_BOARD, at="", board=_BOARD, run=_BOARD, instance=_BOARD, attempt=2 if step.checkpoint else 1, seq=1,
        workflow=_BOARD,
        workty=Program(_BOARD, step.name, "", step.info.language, step.info.entry),
        package=None,
        properties=tuple(Property(name, name, value) for name, value in step.properties.items()),
        checkpoint=step.checkpoint,
        limits=step.limits,
    )  # fmt: skip


class _Told:
    """Passes on what the supervisor tells, and asks for the pause."""

    def __init__(self, watcher: Watcher, orders: Orders, pause_after: str | None) -> None:
        self._watcher, self._orders, self._pause_after = watcher, orders, pause_after
        self.progress, self.line = watcher.progress, watcher.line

    def state(self, checkpoint: Checkpoint) -> None:
        self._watcher.state(checkpoint)
        if checkpoint.state == self._pause_after:
            self._orders.order_pause()

    def tick(self) -> float | None:
        return None


def _in_thread(work: Callable[[], Outcome]) -> Outcome:
    """What `work` returns. It runs in a thread, so that signals, which the main thread gets, never cut it short."""
    results: SimpleQueue[Outcome | BaseException] = SimpleQueue()

    def carry_out() -> None:
        try:
            results.put(work())
        except BaseException as error:  # raised again in the thread that waits
            results.put(error)

    threading.Thread(target=carry_out, daemon=True).start()
    result = results.get()
    if isinstance(result, BaseException):
        raise result
    return result


@contextmanager
def _interrupts(orders: Orders, tell: Callable[[str], object]) -> Iterator[None]:
    """While inside: ctrl-c and SIGTERM end the step instead of this program; `tell` says so."""
    wanted: SimpleQueue[float | None] = SimpleQueue()
    handled = (signal.SIGINT, signal.SIGTERM)
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        wanted.put(None if count == 0 else 0.0)
        count += 1

    def pass_on() -> None:
        # Not in the signal's handler: the thread that it interrupts may hold the lock of the orders.
        while (grace := wanted.get()) != -1.0:
            orders.order_stop(Stop(STOPPED, grace))
            if grace is None:
                tell("Stopping it; once more kills it at once")

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    before = [signal.signal(number, note) for number in handled]
    try:
        yield
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
        wanted.put(-1.0)
        thread.join()
