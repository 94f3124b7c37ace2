"""The agent's end of the zygote: starts it when the first step needs it, and asks it for guardians."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import threading

from worker_agent.errors import NoGuardian
from worker_agent.process import environment_of_tools
from worker_agent.start import REQUEST

logger = logging.getLogger(__name__)

#: Seconds that the zygote gets to end by itself.
STOP_SECONDS = 0.5


class WarmStart:
    """Starts guardians by forking them from a warm interpreter. Safe for threads; to be closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def __call__(self, descriptors: tuple[int, ...]) -> None:
        """Have a guardian get these descriptors. Raises `NoGuardian` if no zygote can be started."""
        with self._lock:
            try:
                if self._requests is None:
                    self._begin()
                try:
                    self._ask(descriptors)
                except OSError:  # it was idle for long, or something killed it
                    self._end()
                    self._begin()
                    self._ask(descriptors)
            except OSError as error:
                raise NoGuardian(f"The interpreter from which steps are forked does not start: {error}") from error

    def discard(self) -> None:
        """It did not answer: the next guardian comes from a new one. Guardians that there are live on."""
        with self._lock:
            self._end()

    #: For the end of the agent.
    close = discard

    def _ask(self, descriptors: tuple[int, ...]) -> None:
        assert self._requests  # noqa: S101  (callers hold the lock and have begun)
        socket.send_fds(self._requests, [REQUEST], list(descriptors), socket.MSG_DONTWAIT)

    def _begin(self) -> None:
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "worker_agent.zygote", str(other.fileno())],
                    env=environment_of_tools(),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(other.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                own.close()
                raise
        self._requests = own

    def _end(self) -> None:
        if self._requests:
            self._requests.close()
            self._requests = None
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            self._process.kill()
            self._process.wait()
            self._process = None
