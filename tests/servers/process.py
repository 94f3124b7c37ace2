"""A server's process as tests need it: started with a log file, killed and ended with everything that came of it.

Knows nothing of what the server is; readiness is the affair of those who start one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.guard import children
from tests.servers.waiting import Deadline

GUARD = Path(__file__).with_name("guard.py")


class ServerProcess:
    """A running command, with all the processes that it starts.

    Parameters:
        command: the program and its arguments.
        directory: where its log is written; removed if the tests die before `end`.
        environ: the whole environment of the command.
        name: names the log file, `<name>.log`, which is appended to.
    """

    def __init__(self, command: Sequence[str], *, directory: Path, environ: Mapping[str, str], name: str) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self.exit_code: int | None = None
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(directory), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env=dict(environ),
                cwd=directory,
                start_new_session=True,
            )
        first = self._report(seconds=30)
        if not first.startswith("pid "):
            self.end()
            raise RuntimeError(f"{name} did not start: {' '.join(command)}\n{self.tail()}")
        self.pid = int(first.split()[1])

    @property
    def alive(self) -> bool:
        """Whether the command itself (not only what it left behind) runs."""
        return self.exit_code is None and not self._ended(seconds=0)

    def terminate(self, *, seconds: float = 30) -> int:
        """Send SIGTERM and wait for the command's end; returns its exit code (negative: minus the signal)."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds=seconds)

    def kill9(self) -> None:
        """Kill the command alone, as the kernel does when memory runs out; what it started lives on until `end`."""
        self.signal(signal.SIGKILL)
        self.wait(seconds=30)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command, if it still runs."""
        if self.alive:
            os.kill(self.pid, number)

    def wait(self, *, seconds: float) -> int:
        """Wait for the command's end; returns its exit code.

        Raises:
            TimeoutError: it still runs after `seconds`.
        """
        if self.exit_code is None and not self._ended(seconds=seconds):
            raise TimeoutError(f"{self.name} (pid {self.pid}) still runs after {seconds:g} s\n{self.tail()}")
        assert self.exit_code is not None
        return self.exit_code

    def end(self) -> None:
        """Kill the command and everything it started, as a power cut does. Files stay. Harmless when repeated."""
        if self._guard.stdin is None or self._guard.stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):  # the guard itself did not come up; its log says why
            self._guard.stdin.write(b"keep")
        self._guard.stdin.close()
        self._guard.wait(timeout=60)
        assert self._guard.stdout is not None
        self._guard.stdout.close()
        self.exit_code = -signal.SIGKILL if self.exit_code is None else self.exit_code

    def descendants(self) -> list[str]:
        """What runs of all that came of the command, itself included: process id and command line of each."""
        parents, found = [self._guard.pid], []
        while parents:
            for pid in children(parents.pop()):
                parents.append(pid)
                with contextlib.suppress(OSError):
                    line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append(f"{self.name}: {pid} {line.strip()}")
        return found

    def tail(self, lines: int = 30) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _ended(self, *, seconds: float) -> bool:
        line = self._report(seconds=seconds)
        if line.startswith("exit "):
            self.exit_code = int(line.split()[1])
        return self.exit_code is not None

    def _report(self, *, seconds: float) -> str:
        """The guard's next line; empty if none comes within `seconds`."""
        assert self._guard.stdout is not None
        deadline = Deadline(seconds)
        line = b""
        while not line.endswith(b"\n") and select.select([self._guard.stdout], [], [], deadline.left())[0]:
            read = self._guard.stdout.read(1)
            if not read:
                break
            line += read
        return line.decode()
