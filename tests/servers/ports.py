"""Free TCP ports of 127.0.0.1, reserved for as long as a server of the tests lives, also between restarts.

Several test processes reserve at the same time: a locked file per port keeps them apart. Ports lie below the range from
which the system takes ports for outgoing connections, so none of those gets in between.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

FIRST, LAST = 20000, 32000


class Ports:
    """`count` reserved ports, in `numbers`. `release` gives them back; so does the end of the process."""

    def __init__(self, count: int) -> None:
        directory = Path(tempfile.gettempdir()) / f"workty-test-ports-{os.getuid()}"
        directory.mkdir(exist_ok=True)
        self.numbers: list[int] = []
        self._locks: list[IO[str]] = []
        for port in random.sample(range(FIRST, LAST), LAST - FIRST):
            lock = _lock(directory / str(port), port)
            if lock is not None:
                self.numbers.append(port)
                self._locks.append(lock)
            if len(self.numbers) == count:
                return
        self.release()
        raise RuntimeError(f"no {count} free ports between {FIRST} and {LAST}")

    def release(self) -> None:
        """Give the ports back."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()


def is_open(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _lock(path: Path, port: int) -> IO[str] | None:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        file.close()
        return None
    return file
