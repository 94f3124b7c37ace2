"""A sandbox that is held open by a process that does nothing, so that a guardian can join it and start a program there.

Which sandbox it is says the command; it must be bubblewrap's up to, but without, `--info-fd` and the program.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal

from worker_agent import kernel

#: Seconds that a sandbox may take to be there.
START_SECONDS = 20.0
#: What holds it: says back what it hears, and ends when nobody can say anything any more.
_HOLDER = "/usr/bin/cat"
_INFO = 3
_READ = 4096
_KINDS = {
    "user": 0x10000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "net": 0x40000000,
    "cgroup": 0x02000000,
}


class Holder:
    """A sandbox, held. Raises `OSError` with what bubblewrap says if it cannot be made."""

    def __init__(self, command: tuple[str, ...]) -> None:
        heard, stdin = os.pipe2(os.O_CLOEXEC)
        info, info_up = os.pipe2(os.O_CLOEXEC)
        stdout, said = os.pipe2(os.O_CLOEXEC)
        self._stdin = stdin
        os.write(stdin, b"\n")
        os.umask(0o022)
        self._pid = os.posix_spawn(
            command[0],
            [*command, "--info-fd", str(_INFO), "--", _HOLDER],
            {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, heard, 0),
                (os.POSIX_SPAWN_DUP2, said, 1),
                (os.POSIX_SPAWN_DUP2, said, 2),
                (os.POSIX_SPAWN_DUP2, info_up, _INFO),
            ],
        )
        for fd in (heard, info_up, said):
            os.close(fd)
        try:
            pid = self._first_process(info, stdout)
            self._kinds = sum(kind for name, kind in _KINDS.items() if _differs(pid, name))
            self._init = os.pidfd_open(pid)
        finally:
            os.close(info)
            os.close(stdout)

    def join(self) -> None:
        """Have this process be in the sandbox, and its children in its pid namespace."""
        kernel.join_namespaces(self._init, self._kinds)
        os.chdir("/")

    def kill(self) -> None:
        """End everything in the sandbox."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._init, signal.SIGKILL)

    def end(self) -> None:
        """End everything in the sandbox, and wait for all children of this process: they are in it, or make it.

        None of them first: the sandbox ends when its last process was waited for, and that may be the program.
        """
        self.kill()
        os.close(self._stdin)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)

    def _first_process(self, info: int, stdout: int) -> int:
        """The number of the sandbox's first process, once all of the sandbox is there."""
        said = _read(stdout)
        if said != b"\n":
            os.close(self._stdin)
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            words = said.decode("utf-8", "replace").strip() or f"nothing came within {START_SECONDS:g} s"
            raise OSError(errno.ECHILD, f"the sandbox cannot be made: {words}")
        pid: int = json.loads(_read(info))["child-pid"]
        return pid


def _differs(pid: int, kind: str) -> bool:
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino  # noqa: PTH116
    except FileNotFoundError:  # a kind that this system does not have
        return False


def _read(fd: int) -> bytes:
    """What comes first; empty when nothing comes."""
    return os.read(fd, _READ) if select.select([fd], [], [], START_SECONDS)[0] else b""
