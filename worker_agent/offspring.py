"""The children of this process, which adopts its orphaned descendants: finds them, waits for them, ends them all."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable

#: Seconds after which children that may not be killed (they became another account's) are left alone.
PATIENCE = 5.0
_PAUSE = 0.01


class ChildSignal:
    """Becomes readable when a child has ended. For the main thread; one at a time in a process."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._read

    def clear(self) -> None:
        """It was seen."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 512):
                pass

    def close(self) -> None:
        """Signals are as a program expects them to be."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)


def children() -> list[int]:
    """Process numbers of the children of this (single-threaded) process, also of those that have ended."""
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children", "rb") as file:  # noqa: PTH123  (pathlib is not needed here else)
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == own]  # noqa: PTH208


def end_all(kill: Callable[[], None]) -> None:
    """Call `kill` until no child is left. Gives up after `PATIENCE` on what it does not end."""
    until = time.monotonic() + PATIENCE
    while reap() and time.monotonic() < until:
        kill()
        if reap():
            select.select([], [], [], _PAUSE)


def kill_children(spared: frozenset[int] = frozenset()) -> None:
    """Kill the children of this process, whose own children become its next ones."""
    for pid in children():
        if pid not in spared:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def reap() -> bool:
    """Collect children that have ended; whether any is left."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
        return int(file.read().rpartition(b")")[2].split()[1])
    return 0
