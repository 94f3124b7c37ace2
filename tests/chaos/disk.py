"""Faults of disks: one that is full, one on which nothing gets on, and the same for the database's.

A full disk is a real one: a file system of a few megabytes that holds the state of an agent. It lives in a mount
namespace of a process that does nothing else, so that it outlives the agent, needs no root, and is gone however the
tests end. A slow one is played: for the agent's journal another process keeps the write lock, as if a write had not
come back from a worn flash card; all of mongod is stopped, as if its journal could not be synced.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from tests.servers import waiting
from tests.servers.mongod import MongoServer
from tests.servers.process import ServerProcess

#: How long a disk is full or slow, seconds.
FULL_SECONDS, LOCKED_SECONDS, STALLED_SECONDS = (3.0, 8.0), (2.0, 8.0), (1.0, 6.0)

Pause = Callable[[float], None]


class SmallDisk:
    """A file system of a few megabytes, at `place` for those who are started by `wrapper`.

    Parameters:
        place: an empty directory.
        logs: where its process writes its log.
        megabytes: how much it holds.
    """

    def __init__(self, place: Path, logs: Path, megabytes: int = 16) -> None:
        place.mkdir(parents=True)
        plain = [] if os.getuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
        mount = f'mount -t tmpfs -o size={megabytes}m,mode=0755 workty "$0" && exec sleep infinity'
        self._process = ServerProcess(
            ["unshare", *plain, "--mount", "sh", "-c", mount, str(place)],
            directory=logs,
            environ={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
            name=f"disk-{place.name}",
        )
        #: Where all others find what is on it.
        self.path = Path(f"/proc/{self._process.pid}/root") / place.relative_to("/")
        self._ballast = self.path / "ballast"
        waiting.until(
            lambda: f" {place} tmpfs " in self._mounts(), seconds=30, what="a small disk", tail=self._process.tail
        )
        entered = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
        #: Put before a command, it lets that one see the disk.
        self.wrapper: Sequence[str] = ["nsenter", f"--target={self._process.pid}", *entered, "--mount", "--wd=."]

    def fill(self, room: int = 0) -> int:
        """Fill it so that `room` bytes are left; the bytes that were written."""
        written = 0
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while shutil.disk_usage(self.path).free >= room + size:
                        written += ballast.write(bytes(size))
        return written

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def end(self) -> None:
        """It is gone, with all it held, when those who use it have ended."""
        self._process.end()

    def _mounts(self) -> str:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self._process.pid}/mounts").read_text()
        return ""


class FullDisk:
    """The disk of a board is full for some seconds."""

    kind = "full disk"

    def __init__(self, name: str, disk: SmallDisk, pause: Pause = time.sleep) -> None:
        self._name, self._disk, self._pause = name, disk, pause

    def strike(self, random: Random) -> str:
        """Fill it and make room again; what was done."""
        seconds = random.uniform(*FULL_SECONDS)
        free = self._disk.fill()
        try:
            self._pause(seconds)
        finally:
            self._disk.free()
        return f"disk of {self._name} full for {seconds:.1f} s ({free} bytes were free)"


class SlowDisk:
    """The journal of a board takes no write for some seconds.

    Parameters:
        journal: its database, which is there. SQLite does not find one on a `SmallDisk`, which only agents see.
    """

    kind = "slow disk"

    def __init__(self, name: str, journal: Path, pause: Pause = time.sleep) -> None:
        self._name, self._journal, self._pause = name, journal, pause

    def strike(self, random: Random) -> str:
        """Keep the write lock and give it back; what was done."""
        seconds = random.uniform(*LOCKED_SECONDS)
        with self.locked():
            self._pause(seconds)
        return f"journal of {self._name} took no write for {seconds:.1f} s"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the write lock."""
        address = f"file:{self._journal}?mode=rw"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=60, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                db.execute("ROLLBACK")


class StalledDatabase:
    """mongod does nothing for some seconds, and then goes on where it was."""

    kind = "stalled database"

    def __init__(self, mongod: MongoServer, pause: Pause = time.sleep) -> None:
        self._mongod, self._pause = mongod, pause

    def strike(self, random: Random) -> str:
        """Stop it and let it go on; what was done."""
        seconds = random.uniform(*STALLED_SECONDS)
        self._mongod.signal(signal.SIGSTOP)
        try:
            self._pause(seconds)
        finally:
            self._mongod.signal(signal.SIGCONT)
        return f"mongod stalled for {seconds:.1f} s"
