"""A warm interpreter, from which guardians of steps are forked: `python -P -m worker_agent.zygote SOCKET`.

It has imported what workties in Python need, has nothing of the agent's environment, and runs one thread. Each request
is five descriptors; what is to be started the guardian hears from the agent itself. A guardian that a step has killed
leaves its children to this process, which ends them.
"""

from __future__ import annotations

import contextlib
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
_SHORT_SECONDS = 0.02
_WARM = ("json", "workties.sdk", "workties.channel", "workties.launch", "workties.ways", "transitions")


class Zygote:
    """Forks guardians for whoever holds the other end of `requests`, one always in advance."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._guardians: set[int] = set()
        self._spare: tuple[int, socket.socket] | None = None
        self._strays = False
        self._signal = offspring.ChildSignal()

    def serve(self) -> socket.socket | None:
        """Fork until nobody asks any more: then None. In a guardian to be: where its descriptors come from."""
        while True:
            idle = self._is_idle()
            readable, _, _ = select.select([self._requests.fileno(), self._signal.fileno()], [], [], self._patience())
            self._collect()
            # In advance, but not while a step that was just asked for needs the processor.
            if not self._spare and (not readable or self._requests.fileno() in readable):
                inbox = self._fork()
                if inbox:
                    return inbox
            if self._requests.fileno() in readable:
                descriptors = receive(self._requests)
                if not descriptors:
                    return None
                self._hand_over(descriptors)
            elif idle and not readable:
                return None

    def _fork(self) -> socket.socket | None:
        """Fork the next guardian. In that process: where its descriptors come from."""
        outbox, inbox = socket.socketpair()
        pid = os.fork()
        if not pid:
            self._signal.close()
            for other in (self._requests, outbox):
                os.close(other.detach())
            return inbox
        inbox.close()
        self._guardians.add(pid)
        self._spare = pid, outbox
        return None

    def _hand_over(self, descriptors: list[int]) -> None:
        """Have the next guardian begin. If it was killed, the agent sees that nobody has the descriptors."""
        if self._spare:
            with contextlib.suppress(OSError), self._spare[1] as outbox:
                socket.send_fds(outbox, [REQUEST], descriptors)
        self._spare = None
        for fd in descriptors:
            os.close(fd)

    def _patience(self) -> float:
        return IDLE_SECONDS if self._spare and not self._strays else _SHORT_SECONDS

    def _is_idle(self) -> bool:
        return self._spare is not None and len(self._guardians) == 1 and not self._strays

    def _collect(self) -> None:
        """Collect children that have ended, and end those that a killed guardian left."""
        self._signal.clear()
        while found := _ended_child():
            pid, status = found
            self._strays = self._strays or status != 0 or pid not in self._guardians
            self._guardians.discard(pid)
            if self._spare and pid == self._spare[0]:
                self._spare[1].close()
                self._spare = None
        if self._strays:
            spared = frozenset(self._guardians)
            self._strays = not spared.issuperset(offspring.children())
            offspring.kill_children(spared)


def receive(channel: socket.socket) -> list[int]:
    """Descriptors of a guardian; none when nobody can send any more."""
    _, found, _, _ = socket.recv_fds(channel, len(REQUEST), DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    return found


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
    kernel.set_name("workty-zygote")
    kernel.adopt_orphans()
    for name in _WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    inbox = Zygote(socket.socket(fileno=int(arguments[0]))).serve()
    if inbox is None:
        return 0
    descriptors = receive(inbox)
    os.close(inbox.detach())
    if not descriptors:
        os._exit(0)
    talk, stdout, stderr, events, control = descriptors
    entry = guard(talk, (stdout, stderr, events, control), warm=True)
    if entry is None:
        os._exit(0)  # a guardian has nothing to tidy up
    return leaving.run(lambda: launch.main([entry]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
