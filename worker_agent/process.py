"""One step's program as processes: starts it apart from the agent, bounds it, and ends it with all it started.

Knows descriptors, signals and limits. What the program says, and what its end means, is read in `supervise`.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import workties
from workties.bounds import CONTROL_FD, EVENTS_FD, INPUT
from workties.messages import Limits, Usage
from workties.protocol import PAUSE_LINE

#: Most files a program may have open.
OPEN_FILES = 1024
_READ = 64 * 1024
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start: the command, the unpacked package to start it in, its own directory, its input file, limits.

    `tasks_before` is how many processes and threads the account has without the step: the system's limit counts all.
    """

    command: tuple[str, ...]
    package: Path
    home: Path
    input_file: Path
    limits: Limits
    tasks_before: int = 0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended: its exit code, or minus the number of the signal; and what it used."""

    return_code: int
    usage: Usage


class StepProcess:
    """A running program. Descriptors do not block; `close` must be called, and ends what is left.

    Raises `OSError` if it cannot be started.

    Attributes:
        stdout, stderr, events: descriptors to read from.
        ended: descriptor that becomes readable when the program itself (not all it started) has ended.
    """

    def __init__(self, launch: Launch) -> None:
        self._started_at = time.monotonic()
        self._input_file = launch.input_file
        self._exit: Exit | None = None
        with contextlib.ExitStack() as undo:
            self.events, events_up = _pipe(undo)
            control_up, self._control = _pipe(undo)
            self._process = subprocess.Popen(
                launch.command,
                cwd=launch.package,
                env=_environment(launch, events_up, control_up),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(events_up, control_up),
                start_new_session=True,
                bufsize=0,
            )
            self._pid = self._process.pid
            undo.callback(self._process.wait)
            undo.callback(self.kill)
            assert self._process.stdout  # noqa: S101  (asked for above)
            assert self._process.stderr  # noqa: S101
            self.stdout, self.stderr = self._process.stdout.fileno(), self._process.stderr.fileno()
            for fd in (self.events, self._control, self.stdout, self.stderr):
                os.set_blocking(fd, False)
            _limit(self._pid, launch.limits, launch.tasks_before)
            self.ended = os.pidfd_open(self._pid)
            undo.pop_all()
        os.close(events_up)
        os.close(control_up)

    def ask_pause(self) -> None:
        """Tell the program to pause at its next checkpoint, if it listens."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._control, PAUSE_LINE)

    def terminate(self) -> None:
        """Ask the program and all in its group to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the program and all in its group."""
        self._signal(signal.SIGKILL)

    def reap(self) -> Exit:
        """End what the program left behind, and say how it ended. Waits for the program itself."""
        if self._exit is None:
            # Unreaped, it keeps its number, so that the group is certainly still its own.
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            self.kill()
            _, status, used = os.wait4(self._pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            wall = time.monotonic() - self._started_at
            usage = Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
            self._exit = Exit(self._process.returncode, usage)
            kill_started_with(self._input_file)
        return self._exit

    def close(self) -> None:
        """End the program if it still runs, and let go of every descriptor."""
        if self._exit is None:
            self.kill()
            self.reap()
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        for fd in (self.events, self._control, self.ended):
            os.close(fd)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)


def kill_started_with(path: Path) -> int:
    """Kill every process that was started for the step with this input file, wherever it went. How many there were.

    Given a directory, for every step with an input file below it. Finds those that left their group, and those of steps
    that an earlier agent left behind: they are known by their environment, since a process number may by now belong to
    somebody else.
    """
    mark = f"{INPUT}={path}".encode()
    killed = 0
    for pid in _processes_with(mark):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            group = os.getpgid(pid)
            if group == pid:
                os.killpg(group, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


def tasks_of_account() -> int:
    """How many processes and threads this account has now. 0 for root, whom the limit does not bind."""
    uid = os.getuid()
    if uid == 0:
        return 0
    count = 0
    for pid in _processes():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}").stat().st_uid == uid:
                count += len(list(Path(f"/proc/{pid}/task").iterdir()))
    return count


def _processes_with(mark: bytes) -> Iterator[int]:
    # After each step every process is looked at, so this is written to cost little.
    for pid in _processes():
        with contextlib.suppress(OSError):
            fd = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
            try:
                content = b"".join(iter(partial(os.read, fd, _READ), b""))
            finally:
                os.close(fd)
            if mark in content and any(_is_marked(found, mark) for found in content.split(b"\0")):
                yield int(pid)


def _is_marked(variable: bytes, mark: bytes) -> bool:
    return variable == mark or variable.startswith(mark + b"/")


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        undo.callback(os.close, fd)
        # Shells and Java open it anew as /dev/fd/N, which an account other than the agent's needs the mode for.
        os.fchmod(fd, 0o666)
    return ends


def _environment(launch: Launch, events: int, control: int) -> dict[str, str]:
    home = str(launch.home)
    found = {
        "PATH": os.environ.get("PATH", _PATH),
        "LANG": "C.UTF-8",
        "HOME": home,
        "TMPDIR": home,
        "PWD": home,
        EVENTS_FD: str(events),
        CONTROL_FD: str(control),
        INPUT: str(launch.input_file),
    }
    library = Path(workties.__file__).resolve().parent.parent
    if launch.command[0] == sys.executable and str(library) != sysconfig.get_path("purelib"):
        found["PYTHONPATH"] = str(library)  # run from a checkout, not installed
    return found


def _limit(pid: int, limits: Limits, tasks_before: int) -> None:
    """Set what the system enforces.

    Memory is bounded by RLIMIT_DATA: RLIMIT_AS also counts what is only reserved, and Node reserves gigabytes.
    """
    cpu = max(1, int(limits.cpu))
    wanted = {
        resource.RLIMIT_CPU: (cpu, cpu + max(1, int(limits.grace))),
        resource.RLIMIT_DATA: (limits.memory, limits.memory),
        resource.RLIMIT_FSIZE: (limits.files, limits.files),
        resource.RLIMIT_NPROC: (limits.processes + tasks_before,) * 2,
        resource.RLIMIT_NOFILE: (OPEN_FILES, OPEN_FILES),
        resource.RLIMIT_CORE: (0, 0),
    }
    with contextlib.suppress(ProcessLookupError):
        for kind, values in wanted.items():
            _, hard = resource.prlimit(pid, kind)
            allowed = tuple(value if hard == resource.RLIM_INFINITY else min(value, hard) for value in values)
            resource.prlimit(pid, kind, (allowed[0], allowed[1]))
