"""Fetches packages from the server, checks them, keeps them, and unpacks them for a step.

What is inside a package is checked by `workties.package`; here it counts only that it is the one that was announced.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from worker_agent.errors import Cancelled, PackageUnavailable
from workties.messages import Package
from workties.package import MAX_UNPACKED_BYTES, unpack

logger = logging.getLogger(__name__)

#: Seconds without a byte after which a download counts as failed.
TIMEOUT = 20.0
#: Waits between tries to fetch a package, seconds: in all longer than a link to it lives, so that a server that was
#: away refuses it before the step is given up.
RETRY_WAITS = (0.5, 2.0, 5.0, *[10.0] * 70)
_CHUNK = 64 * 1024
_PORTS = {"http": 80, "https": 443}

#: Waits so many seconds; True if the package is not wanted any more.
Wait = Callable[[float], bool]


class Packages:
    """The packages a board has.

    Args:
        directory: the cache.
        server_url: the only server from which anything is fetched.
        limit_bytes: what the cache may hold; the least recently used go first.
        ca_file: certificates to trust instead of the system's.
    """

    def __init__(self, directory: Path, server_url: str, limit_bytes: int, ca_file: Path | None = None) -> None:
        self._directory, self._server, self._limit, self._ca_file = directory, server_url, limit_bytes, ca_file
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        for rest in directory.glob("*.part"):
            rest.unlink(missing_ok=True)

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
        part = self._directory / f"{package.sha256}.{threading.get_ident()}.part"
        try:
            self._fetch(package, part, wait)
            with self._lock:
                part.replace(path)
                unpack(path, directory)
                self._evict()
        finally:
            part.unlink(missing_ok=True)

    def _unpack_kept(self, package: Package, path: Path, directory: Path) -> bool:
        with self._lock:
            if not path.exists():
                return False
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != package.sha256:
                    logger.warning("package %s: the kept copy is damaged, fetching it again", package.sha256)
                    path.unlink()
                    return False
            os.utime(path)
            unpack(path, directory)
            return True

    def _evict(self) -> None:
        found = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self._directory.glob("*.zip"))
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= self._limit:
                break
            path.unlink()
            total -= size

    def _fetch(self, package: Package, part: Path, wait: Wait) -> None:
        self._refuse_foreign(package)
        if wait(0):
            raise Cancelled
        for pause in (*RETRY_WAITS, None):
            try:
                self._download(package, part, wait)
                return
            except OSError as error:
                status = getattr(error, "code", None)
                if pause is None or (status is not None and status < 500):
                    raise PackageUnavailable(
                        f"The package {package.sha256[:12]} cannot be fetched from {self._server}: {error}"
                    ) from error
                logger.warning("package %s: %s; trying again in %s s", package.sha256, error, pause)
                if wait(pause):
                    raise Cancelled from error

    def _refuse_foreign(self, package: Package) -> None:
        if _origin(package.url) != _origin(self._server):
            raise PackageUnavailable(
                f"The package {package.sha256[:12]} is not offered by the server of WORKTY_SERVER_URL ({self._server})"
            )
        if package.size > MAX_UNPACKED_BYTES:
            raise PackageUnavailable(
                f"The package {package.sha256[:12]} has {package.size} bytes; {MAX_UNPACKED_BYTES} are allowed"
            )

    def _download(self, package: Package, part: Path, wait: Wait) -> None:
        digest, size = hashlib.sha256(), 0
        with self._open(package.url) as response, part.open("wb") as target:
            while chunk := response.read(_CHUNK):
                size += len(chunk)
                if size > package.size:
                    break
                digest.update(chunk)
                target.write(chunk)
                if wait(0):
                    raise Cancelled
        if size != package.size or digest.hexdigest() != package.sha256:
            raise PackageUnavailable(
                f"The package {package.sha256[:12]} is not the one that was announced: its size or digest differs"
            )

    def _open(self, url: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        # Imported here: a board that waits for work needs no HTTP client in memory.
        from urllib.request import (  # noqa: PLC0415
            HTTPRedirectHandler,
            HTTPSHandler,
            ProxyHandler,
            build_opener,
        )

        class NoRedirects(HTTPRedirectHandler):
            """Whoever redirects is not the server that was agreed on."""

            def redirect_request(self, *args: object) -> None:
                """No."""

        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        opener = build_opener(NoRedirects, ProxyHandler({}), HTTPSHandler(context=context))
        response: contextlib.AbstractContextManager[IO[bytes]] = opener.open(url, timeout=TIMEOUT)
        return response


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise PackageUnavailable(f"The package's URL makes no sense: {error}") from error
