"""One step's program as the agent sees it: descriptors to read from, orders to give, and how it ended.

The program itself, and all that comes of it, is in the hands of a guardian (`worker_agent.guardian`), a process between
agent and program. What the program says, and what its end means, is read in `supervise`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import workties
from worker_agent.errors import NoGuardian, StepNotStarted
from worker_agent.start import CONTROL, EVENTS, KILL, TERMINATE, Start, encode, system_limits
from workties.bounds import CONTROL_FD, EVENTS_FD, INPUT
from workties.messages import Limits, Usage
from workties.protocol import PAUSE_LINE

#: Seconds that a guardian may take to be there, and then to start its program.
START_SECONDS = 30.0
#: Seconds after an order to kill in which a guardian must have ended everything; else it is itself killed.
KILL_SECONDS = 15.0
_READ = 64 * 1024
_PATH = "/usr/local/bin:/usr/bin:/bin"

#: Has a guardian get these descriptors: its socket, and the program's stdout, stderr, events and control.
StartGuardian = Callable[[tuple[int, ...]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start: the command, the unpacked package to start it in, its own directory, its input file, limits.

    Attributes:
        tasks_before: how many processes and threads the account has without the step: the system's limit counts all.
        account: number of the account and group to run under; None for that of the agent.
        own_account: nothing else runs under it.
        privileged: it may get further rights, e.g. by `sudo`.
        sandbox: command that makes the sandbox to run it in (`worker_agent.sandbox`), empty for none.
    """

    command: tuple[str, ...]
    package: Path
    home: Path
    input_file: Path
    limits: Limits
    tasks_before: int = 0
    account: int | None = None
    own_account: bool = False
    privileged: bool = False
    sandbox: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended: its exit code, or minus the number of the signal; and what it used.

    `watched` is False if its guardian was killed before, so that nobody knows.
    """

    return_code: int
    usage: Usage
    watched: bool = True


class StepProcess:
    """A running program. Descriptors do not block; `close` must be called, and ends what is left.

    Args:
        launch: what to start. Without more it runs right here: under this account, without a sandbox.
        start_guardian: how its guardian comes to be; a process of its own by default.
        start_seconds: how long it may take to be there.

    Raises:
        OSError: the program cannot be started.
        NoGuardian: there is nobody to start it; nothing of it has been started.
        StepNotStarted: whoever was to start it failed.

    Attributes:
        stdout, stderr, events: descriptors to read from.
        ended: descriptor that becomes readable when the program and all that came of it have ended.
    """

    def __init__(
        self,
        launch: Launch,
        start_guardian: StartGuardian | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._started_at = time.monotonic()
        self._exit: Exit | None = None
        begin: StartGuardian = start_guardian or PlainStart()
        self._plain = begin if isinstance(begin, PlainStart) else None
        self._heard = b""
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            undo.callback(self._wait_for_guardian)
            self.stdout, stdout = _pipe(undo, theirs)
            self.stderr, stderr = _pipe(undo, theirs)
            self.events, events = _pipe(undo, theirs)
            control, self._control = _pipe(theirs, undo)
            self._talk, talk = socket.socketpair()
            undo.callback(self._talk.close)
            theirs.callback(talk.close)
            for fd in (self.stdout, self.stderr, self.events, self._control):
                os.set_blocking(fd, False)
            begin((talk.fileno(), stdout, stderr, events, control))
            line = encode(_start(launch))  # while the guardian comes to be
            theirs.close()
            self.ended = self._talk.fileno()
            self._guardian = self._meet(start_seconds)
            undo.callback(os.close, self._guardian)
            undo.callback(self.abandon)
            self._send(line)
            self._expect_start()
            undo.pop_all()

    def ask_pause(self) -> None:
        """Tell the program to pause at its next checkpoint, if it listens."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._control, PAUSE_LINE)

    def terminate(self) -> None:
        """Ask the program and all in its group to end."""
        self._send(TERMINATE)

    def kill(self) -> None:
        """End the program and all that came of it."""
        self._send(KILL)

    def abandon(self) -> None:
        """Kill the guardian, which does not do what it should; the program ends with it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._guardian, signal.SIGKILL)

    def reap(self) -> Exit:
        """How the program ended. Waits for its end, and that of all that came of it."""
        if self._exit is None:
            said = self._hear(None)
            wall = time.monotonic() - self._started_at
            if "exit" in said:
                self._exit = Exit(said["exit"], Usage(said["wall"], said["cpu"], said["memory"]))
            else:
                self._exit = Exit(-signal.SIGKILL, Usage(wall), watched=False)
        return self._exit

    def close(self) -> None:
        """End the program if it still runs, and let go of every descriptor."""
        if self._exit is None:
            self.kill()
            if not select.select([self._talk], [], [], KILL_SECONDS)[0]:
                self.abandon()
            self.reap()
        self._wait_for_guardian()
        self._talk.close()
        for fd in (self.stdout, self.stderr, self.events, self._control, self._guardian):
            os.close(fd)

    def _meet(self, seconds: float) -> int:
        """Wait for the guardian; a descriptor of its process."""
        said = self._hear(seconds)
        if "ready" not in said:
            raise NoGuardian("The process that is to watch over the step did not start")
        return os.pidfd_open(said["ready"])  # it waits for us, so the number is its own

    def _expect_start(self) -> None:
        said = self._hear(START_SECONDS)
        if "error" in said:
            raise OSError(said["error"] or errno.EIO, said["message"] or "", said["file"])
        if "started" not in said:
            raise StepNotStarted("The process that watches over the step did not start its program")

    def _hear(self, seconds: float | None) -> dict[str, Any]:
        """The guardian's next words; none if it is gone, or does not speak in time."""
        until = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._heard:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._talk], [], [], left)[0]:
                return {}
            try:
                chunk = self._talk.recv(_READ)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return {}
            self._heard += chunk
        line, _, self._heard = self._heard.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _send(self, words: bytes) -> None:
        with contextlib.suppress(OSError):  # it is gone, which is seen elsewhere
            self._talk.sendall(words)

    def _wait_for_guardian(self) -> None:
        if self._plain:
            self._plain.wait()


class PlainStart:
    """Starts one guardian as a process of its own: slower than from a warm interpreter, but needs nothing for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, descriptors: tuple[int, ...]) -> None:
        """Have it get these descriptors. Raises `OSError` if no process can be started."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "worker_agent.guardian", *map(str, descriptors)],
            env=environment_of_tools(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Wait for its end; it must have reported that of its program, or have been killed."""
        if self._process:
            try:
                self._process.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def environment_of_tools() -> dict[str, str]:
    """What guardians and interpreters find in their environment; nothing of the agent's own."""
    found = {"PATH": os.environ.get("PATH", _PATH), "LANG": "C.UTF-8"}
    library = str(library_folder())
    if library != sysconfig.get_path("purelib"):
        found["PYTHONPATH"] = library  # run from a checkout, not installed
    return found


def library_folder() -> Path:
    """The folder with the package `workties`."""
    return Path(workties.__file__).resolve().parent.parent


def tasks_of_account(uid: int) -> int:
    """How many processes and threads this account has now. 0 for root, whom the limit does not bind."""
    if uid == 0:
        return 0
    count = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}").stat().st_uid == uid:
                count += len(list(Path(f"/proc/{pid}/task").iterdir()))
    return count


def _start(launch: Launch) -> Start:
    python = launch.command[1:-1] == ("-P", "-m", "workties.launch") and launch.command[0] == sys.executable
    return Start(
        arguments=launch.command,
        entry=launch.command[-1] if python else None,
        directory=str(launch.package),
        environ=_environment(launch),
        limits=system_limits(launch.limits, launch.tasks_before),
        account=launch.account,
        own_account=launch.own_account,
        privileged=launch.privileged,
        sandbox=launch.sandbox,
    )


def _environment(launch: Launch) -> dict[str, str]:
    home = str(launch.home)
    found = {
        "HOME": home,
        "TMPDIR": home,
        "PWD": str(launch.package),
        EVENTS_FD: str(EVENTS),
        CONTROL_FD: str(CONTROL),
        INPUT: str(launch.input_file),
    }
    tools = environment_of_tools()
    if launch.command[0] != sys.executable:
        tools.pop("PYTHONPATH", None)
    return tools | found


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe, whose ends are closed with these stacks."""
    read, write = os.pipe()
    os.fchmod(read, 0o666)  # opened anew as /dev/fd/N, or /dev/stdout, it is its mode that counts for other accounts
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write
