"""The parent of one step's program: starts it, and when it has ended, ends all that came of it and says how it went.

It talks with the agent over a socket: `ready` with its process number; it gets a line (`worker_agent.start`); it
answers `started` or why not; it takes orders; its last line is the program's end. When the agent is gone, it ends all.

Forked from the zygote, or started by itself: `python -m worker_agent.guardian SOCKET STDOUT STDERR EVENTS CONTROL`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time

from worker_agent import kernel, offspring
from worker_agent.confine import REPORT, confine
from worker_agent.holder import Holder
from worker_agent.start import KILL, TERMINATE, Start, decode

_READ = 64 * 1024


def guard(talk: int, descriptors: tuple[int, int, int, int], *, warm: bool) -> str | None:
    """Watch over one program, from its start to its end.

    Args:
        talk: the socket to the agent.
        descriptors: the program's standard output, standard error, events and control.
        warm: this interpreter may itself run workties in Python.

    Returns:
        None in the guardian, when nothing is left. In the process of a workty in Python: the file to run.
    """
    kernel.set_name("workty-guardian")
    kernel.adopt_orphans()
    _say(talk, ready=os.getpid())
    line = _line(talk)
    if not line:
        return None
    guardian = Guardian(talk, decode(line), warm=warm)
    try:
        entry = guardian.start(descriptors)
    except OSError as error:
        guardian.end()
        _say(talk, error=error.errno, message=error.strerror, file=error.filename)
        return None
    if entry is not None:
        return entry
    for fd in descriptors:
        os.close(fd)
    guardian.watch()
    return None


class Guardian:
    """Watches over the program that `start` describes."""

    def __init__(self, talk: int, start: Start, *, warm: bool) -> None:
        self._talk, self._start, self._warm = talk, start, warm
        self._holder: Holder | None = None
        self._pid = 0
        self._began = time.monotonic()
        self._signal = offspring.ChildSignal()

    def start(self, descriptors: tuple[int, int, int, int]) -> str | None:
        """Start the program. Returns in the guardian None, in a warm workty its entry. Raises `OSError`."""
        if self._start.sandbox:
            self._holder = Holder(self._start.sandbox)
            self._holder.join()
        heard, report = os.pipe2(os.O_CLOEXEC)
        self._began = time.monotonic()
        self._pid = os.fork()
        if not self._pid:
            return self._become(descriptors, report)
        os.close(report)
        problem = os.read(heard, _READ)  # nothing when the program runs and has closed it
        os.close(heard)
        if problem:
            raise OSError(*json.loads(problem))
        return None

    def watch(self) -> None:
        """Follow orders until the program has ended, end the rest, and tell how it went."""
        _say(self._talk, started=self._pid)
        ended = None
        while ended is None:
            readable, _, _ = select.select([self._talk, self._signal.fileno()], [], [])
            if self._talk in readable and not self._obey():
                self.end()
                return
            if self._signal.fileno() in readable:
                self._signal.clear()
                ended = self._look()
        status, used = ended
        wall = time.monotonic() - self._began
        self.end()
        cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
        _say(self._talk, exit=os.waitstatus_to_exitcode(status), wall=wall, cpu=cpu, memory=memory)

    def end(self) -> None:
        """End everything."""
        self._signal_group(signal.SIGKILL)
        self._pid = 0  # from here on it may be collected, and its number another's
        if self._holder:
            self._holder.end()
        offspring.end_all(self._kill)

    def _become(self, descriptors: tuple[int, int, int, int], report: int) -> str | None:
        entry = self._start.entry if self._warm else None
        try:
            self._signal.close()
            confine(self._start, descriptors, report)
            if entry is None:
                os.execve(self._start.arguments[0], self._start.arguments, self._start.environ)  # noqa: S606
        except OSError as error:
            with contextlib.suppress(OSError):
                os.write(REPORT, json.dumps([error.errno, error.strerror, error.filename]).encode())
            os._exit(127)
        os.close(REPORT)
        os.environ.clear()
        os.environ.update(self._start.environ)
        return entry

    def _obey(self) -> bool:
        """Carry out orders; False when the agent is gone."""
        orders = os.read(self._talk, _READ)
        if KILL in orders:
            self._kill()
        elif TERMINATE in orders:
            self._signal_group(signal.SIGTERM)
        return bool(orders)

    def _look(self) -> tuple[int, resource.struct_rusage] | None:
        """Collect children that have ended; how the program ended, if it was one of them."""
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid == self._pid:
                # Not collected yet, it keeps its number, so that the group is certainly still its own.
                self._signal_group(signal.SIGKILL)
                _, status, used = os.wait4(self._pid, 0)
                self._pid = 0
                return status, used
            os.waitpid(found.si_pid, 0)
        return None

    def _kill(self) -> None:
        self._signal_group(signal.SIGKILL)
        if self._holder:
            self._holder.kill()
        elif self._start.own_account and self._start.account is not None:
            _kill_account(self._start.account)
        else:
            offspring.kill_children()

    def _signal_group(self, number: signal.Signals) -> None:
        if self._pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, number)


def _kill_account(account: int) -> None:
    """Kill all processes of an account at once, before which none of them can start another one."""
    pid = os.fork()
    if not pid:
        with contextlib.suppress(OSError):
            os.setresuid(account, account, account)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(pid, 0)


def _say(talk: int, **words: object) -> None:
    with contextlib.suppress(OSError):  # the agent is gone
        os.write(talk, json.dumps(words).encode() + b"\n")


def _line(talk: int) -> bytes:
    """The first line of the agent; empty if it is gone. It says nothing more before it is answered."""
    found = b""
    while not found.endswith(b"\n"):
        chunk = os.read(talk, _READ)
        if not chunk:
            return b""
        found += chunk
    return found


def main(arguments: list[str]) -> int:
    """Watch over one program, on the descriptors that the arguments name."""
    talk, stdout, stderr, events, control = map(int, arguments)
    for fd in (talk, stdout, stderr, events, control):
        os.set_inheritable(fd, False)
    guard(talk, (stdout, stderr, events, control), warm=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
