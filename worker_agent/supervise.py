"""Watches one step's program until it has ended: its output, its protocol lines, its limits, and orders to it."""

from __future__ import annotations

import os
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from worker_agent.orders import Orders
from worker_agent.outcome import Ending, Outcome, judge
from worker_agent.process import KILL_SECONDS, StepProcess
from worker_agent.room import Room
from worker_agent.streams import LineSplitter
from workties import checks
from workties.bounds import MAX_LINE, MAX_LINE_BYTES, MAX_STATE_BYTES
from workties.errors import BadMessage
from workties.messages import LAST_OUTPUT_LINES, Checkpoint, Limits, Reason
from workties.protocol import CheckpointLine, LogText, OutputLine, PausedLine, ProgressLine, StateLine, parse_line

_READ = 64 * 1024
#: Lines in which the reason of an end is looked for: Node's last words are followed by a long list of addresses.
_LAST_WORDS = 100
#: Longest time without a look at the clock, seconds. The system cannot wait for as long as a step may run.
_LOOK = 60.0


class Listener(Protocol):
    """Who wants to know what a step does."""

    def state(self, checkpoint: Checkpoint) -> None:
        """It entered a state, or made a checkpoint within it; from here it can go on."""

    def progress(self, progress: float, message: str) -> None:
        """It is this far."""

    def line(self, stream: str, text: str) -> None:
        """It wrote a line to `stdout`, `stderr` or its `log`."""

    def tick(self) -> float | None:
        """Called often; returns after how many seconds to be called at the latest, None if it does not matter."""


class Supervisor:
    """Watches `process` under `limits`, tells `listener`, follows `orders`.

    Args:
        state: the state of the checkpoint that it goes on from, empty without one.
        room: looks at what its home holds.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        process: StepProcess,
        orders: Orders,
        listener: Listener,
        limits: Limits,
        *,
        state: str = "",
        room: Room | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._process, self._orders, self._listener, self._limits = process, orders, listener, limits
        self._state = state
        self._room = room
        self._clock = clock
        self._wall_until = clock() + limits.wall
        self._kill_at: float | None = None
        self._abandon_at: float | None = None
        self._ending: Ending | None = None
        self._pause_asked = self._paused = False
        self._bytes = 0
        self._last: deque[str] = deque(maxlen=_LAST_WORDS)
        self._output: dict[str, Any] = {}
        self._text = {stream: LineSplitter(MAX_LINE, cut=True) for stream in ("stdout", "stderr")}
        self._lines = LineSplitter(MAX_LINE_BYTES, cut=False)
        self._selector = selectors.DefaultSelector()

    def run(self) -> Outcome:
        """Watch until the program has ended; everything it started has ended then, too."""
        with self._selector as selector:
            for fd, read in self._readers().items():
                selector.register(fd, selectors.EVENT_READ, read)
            self._follow_orders()
            while not self._has_ended():
                self._keep_limits()
        found = self._process.reap()
        self._read_rest()
        words = tuple(self._last)
        ending = judge(found, self._ending, paused=self._paused, last_output=words, limits=self._limits)
        return Outcome(
            exit=found,
            reason=ending.reason if ending else None,
            failed=bool(ending and ending.failed),
            output=self._output,
            last_output=words[-LAST_OUTPUT_LINES:],
        )

    def _readers(self) -> dict[int, Callable[[], bytes | None]]:
        """What to do when a descriptor is readable; it answers as `_read` does."""
        process = self._process
        return {
            process.stdout: lambda: self._read_text(process.stdout, "stdout"),
            process.stderr: lambda: self._read_text(process.stderr, "stderr"),
            process.events: self._read_lines,
            self._orders.fileno(): self._see_orders,
            process.ended: lambda: None,
        }

    def _has_ended(self) -> bool:
        ended = False
        for key, _ in self._selector.select(self._patience()):
            if key.data() == b"":
                self._selector.unregister(key.fileobj)
            ended = ended or key.fileobj == self._process.ended
        return ended

    def _read_rest(self) -> None:
        """What is still in the pipes; whoever could write more has been killed."""
        for fd, read in self._readers().items():
            if fd not in (self._process.ended, self._orders.fileno()):
                while read() and self._bytes <= self._limits.output:
                    pass
        for stream, splitter in self._text.items():
            self._tell(stream, splitter.end())
        for line in self._lines.end():
            self._take_line(line)

    def _patience(self) -> float:
        running = self._ending is None
        times = [self._wall_until if running else None, self._kill_at, self._abandon_at]
        times.append(self._room.next_look if self._room and running else None)
        until = min((found for found in times if found is not None), default=None)
        tick = self._listener.tick()
        waits = [wait for wait in (tick, None if until is None else until - self._clock()) if wait is not None]
        return max(0.0, min([*waits, _LOOK]))

    def _keep_limits(self) -> None:
        now = self._clock()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at, self._abandon_at = None, now + KILL_SECONDS
            self._process.kill()
        if self._abandon_at is not None and now >= self._abandon_at:
            self._abandon_at = None
            self._process.abandon()
        if self._ending is None and now >= self._wall_until:
            self._end("timeout", f"the program ran longer than {self._limits.wall:g} s", grace=self._limits.grace)
        if self._ending is None and self._room and self._room.is_exceeded():
            self._end("output", f"the home of the step held more than {self._limits.disk} bytes (limits.disk)")

    # --- orders

    def _see_orders(self) -> None:
        self._orders.clear()
        self._follow_orders()

    def _follow_orders(self) -> None:
        if self._orders.pause and not self._pause_asked:
            self._pause_asked = True
            self._process.ask_pause()
        stop = self._orders.stop
        if stop:
            grace = self._limits.grace if stop.grace_seconds is None else stop.grace_seconds
            self._end_for(Ending(stop.reason, failed=False), grace)

    def _end(self, code: str, message: str, grace: float = 0.0) -> None:
        self._end_for(Ending(Reason(code, message), failed=True), grace)

    def _end_for(self, ending: Ending, grace: float) -> None:
        """End the program; the first reason stands, but the shortest grace counts."""
        kill_at = self._clock() + grace
        if self._ending is None:
            self._ending, self._kill_at = ending, kill_at
            if grace > 0:
                self._process.terminate()
        elif self._kill_at is not None:
            self._kill_at = min(self._kill_at, kill_at)

    # --- what the program says

    def _read_text(self, fd: int, stream: str) -> bytes | None:
        data = _read(fd)
        if data and self._bytes <= self._limits.output:  # beyond it the program is being ended
            self._count(len(data))
            self._tell(stream, self._text[stream].feed(data))
        return data

    def _tell(self, stream: str, lines: Iterable[bytes]) -> None:
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r").replace("\0", "\ufffd")[:MAX_LINE]
            self._last.append(text)
            self._listener.line(stream, text)

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.output:
            self._end("output", f"the program wrote more than {self._limits.output} bytes of output")

    def _read_lines(self) -> bytes | None:
        data = _read(self._process.events)
        for line in self._lines.feed(data or b""):
            self._take_line(line)
        if self._lines.overlong:
            self._end("crash", f"the program sent a protocol line of more than {MAX_LINE_BYTES} bytes")
        return data

    def _take_line(self, line: bytes) -> None:
        if self._ending and self._ending.failed:
            return
        try:
            self._obey(line)
        except BadMessage as error:
            self._end("crash", f"the program broke the step protocol: {error.reason}"[:1000])

    def _obey(self, line: bytes) -> None:
        match parse_line(line):
            case StateLine(state, memory):
                self._state = state
                self._listener.state(Checkpoint(state, memory))
            case CheckpointLine(memory):
                self._listener.state(Checkpoint(self._known_state(), memory))
            case ProgressLine(progress, message):
                self._listener.progress(progress, message)
            case LogText(text):
                self._count(len(text))
                self._listener.line("log", text)
            case OutputLine(output):
                merged = {**self._output, **output}
                self._output = checks.plain(merged, "output", limit=MAX_STATE_BYTES)
            case PausedLine():
                self._paused = self._pause_asked

    def _known_state(self) -> str:
        """The state that the program is in. Raises `BadMessage` if it has not said so."""
        if not self._state:
            raise BadMessage('checkpoint: expected a state before it; send {"type":"state","state":"..."} first')
        return self._state


def _read(fd: int) -> bytes | None:
    """Bytes that are there; None if none are there now, empty at the end of the stream."""
    try:
        return os.read(fd, _READ)
    except BlockingIOError:
        return None
