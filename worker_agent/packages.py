"""Keeps packages, checks them, and unpacks them for a step. How one is fetched is `download`'s affair.

What is inside a package is checked by `workties.package`; here it counts only that it is the one that was announced.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from worker_agent.download import Downloader, Wait
from worker_agent.errors import Cancelled
from workties.messages import Package
from workties.package import unpack

logger = logging.getLogger(__name__)

#: Seconds after which whoever waits for another step's download looks whether it is still wanted itself.
_LOOK = 0.5


class Packages:
    """The packages a board has.

    What a download that broke off has left stays, also when the agent starts again, and the next one goes on there.

    Args:
        directory: the cache.
        server_url: the only server from which anything is fetched.
        limit_bytes: what the cache may hold, parts of packages included; the least recently used go first.
        ca_file: certificates to trust instead of the system's.
    """

    def __init__(self, directory: Path, server_url: str, limit_bytes: int, ca_file: Path | None = None) -> None:
        self._directory, self._limit = directory, limit_bytes
        self._downloader = Downloader(server_url, ca_file)
        self._lock = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        self._wanting: Counter[str] = Counter()
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)

    def unpack(self, package: Package, directory: Path, wait: Wait) -> None:
        """Unpack `package` into `directory`, fetching it first if it is not here.

        Raises:
            PackageUnavailable: it cannot be fetched, or is not what was announced.
            BadPackage: it is not safe to unpack.
            Cancelled: `wait` said so.
        """
        path = self._directory / f"{package.sha256}.zip"
        if self._unpack_kept(package, path, directory):
            return
        with self._alone(package.sha256, wait):
            # Another step may have fetched it meanwhile.
            if self._unpack_kept(package, path, directory):
                return
            part = path.with_suffix(".part")
            self._downloader.fetch(package, part, wait)
            with self._lock:
                part.replace(path)
                unpack(path, directory)
                self._evict()

    @contextlib.contextmanager
    def _alone(self, digest: str, wait: Wait) -> Iterator[None]:
        """Only one step at a time fetches a package. Raises `Cancelled`."""
        with self._lock:
            turn = self._fetching.setdefault(digest, threading.Lock())
            self._wanting[digest] += 1
        try:
            while not turn.acquire(timeout=_LOOK):
                if wait(0):
                    raise Cancelled
            try:
                yield
            finally:
                turn.release()
        finally:
            with self._lock:
                self._wanting[digest] -= 1
                if not self._wanting[digest]:
                    del self._wanting[digest], self._fetching[digest]

    def _unpack_kept(self, package: Package, path: Path, directory: Path) -> bool:
        with self._lock:
            if not path.exists():
                return False
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != package.sha256:
                    logger.warning("The kept copy of package %s is damaged, fetching it again", package.sha256)
                    path.unlink()
                    return False
            os.utime(path)
            unpack(path, directory)
            return True

    def _evict(self) -> None:
        files = [*self._directory.glob("*.zip"), *self._directory.glob("*.part")]
        found = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in files)
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= self._limit:
                break
            if path.suffix == ".part" and path.stem in self._fetching:
                continue
            path.unlink()
            total -= size
