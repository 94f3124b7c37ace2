"""A warm interpreter, from which guardians of steps are forked: `python -P -m worker_agent.zygote SOCKET`.

It has imported what workties in Python need, has nothing of the agent's environment, and runs one thread. Each request
is five descriptors; what is to be started the guardian hears from the agent itself. A guardian that a step has killed
leaves its children to this process, which ends them.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import socket
import sys

from worker_agent import kernel, offspring
from worker_agent.guardian import guard
from worker_agent.leaving import Leaving
from worker_agent.start import REQUEST
from workties import launch

#: Seconds without a step after which it ends; the next step starts another one.
IDLE_SECONDS = 300.0
#: Descriptors of a request: socket to the agent, then standard output, standard error, events, control.
DESCRIPTORS = 5
_STRAY_SECONDS = 0.02
_WARM = ("json", "workties.sdk", "workties.channel", "workties.launch", "workties.ways", "transitions")


class Zygote:
    """Forks guardians for whoever holds the other end of `requests`."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._guardians: set[int] = set()
        self._strays = False
        self._signal = offspring.ChildSignal()

    def serve(self) -> list[int] | None:
        """Fork until nobody asks any more: then None. In a process that becomes a guardian: its descriptors."""
        while True:
            readable, _, _ = select.select([self._requests.fileno(), self._signal.fileno()], [], [], self._patience())
            self._collect()
            if self._requests.fileno() in readable:
                descriptors = self._receive()
                if not descriptors:
                    return None
                if self._fork(descriptors):
                    return descriptors
            elif not readable and not self._guardians and not self._strays:
                return None

    def _receive(self) -> list[int]:
        """Descriptors of a guardian; none when nobody can ask any more."""
        _, found, _, _ = socket.recv_fds(self._requests, len(REQUEST), DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        return found

    def _fork(self, descriptors: list[int]) -> bool:
        """Whether this is the new process."""
        pid = os.fork()
        if not pid:
            self._signal.close()
            os.close(self._requests.detach())
            return True
        self._guardians.add(pid)
        for fd in descriptors:
            os.close(fd)
        return False

    def _patience(self) -> float:
        return _STRAY_SECONDS if self._strays else IDLE_SECONDS

    def _collect(self) -> None:
        """Collect children that have ended, and end those that a killed guardian left."""
        self._signal.clear()
        while found := _ended_child():
            pid, status = found
            self._strays = self._strays or status != 0 or pid not in self._guardians
            self._guardians.discard(pid)
        if self._strays:
            spared = frozenset(self._guardians)
            self._strays = not spared.issuperset(offspring.children())
            offspring.kill_children(spared)


def _ended_child() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def main(arguments: list[str]) -> int:
    """Serve on the socket that the arguments name. In the processes of workties: run them."""
    leaving = Leaving()
    os.set_inheritable(int(arguments[0]), False)
    kernel.adopt_orphans()
    for name in _WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    descriptors = Zygote(socket.socket(fileno=int(arguments[0]))).serve()
    if not descriptors:
        return 0
    talk, stdout, stderr, events, control = descriptors
    entry = guard(talk, (stdout, stderr, events, control), warm=True)
    if entry is None:
        os._exit(0)  # a guardian has nothing to tidy up
    return leaving.run(lambda: launch.main([entry]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
