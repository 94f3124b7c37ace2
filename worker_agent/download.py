"""Fetches one package from the server into a file, and goes on where an earlier try broke off.

What a file begins with is never trusted: only the digest of the whole counts. Which packages are fetched, kept and
thrown away is not decided here.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from worker_agent.errors import Cancelled, PackageUnavailable
from workties.messages import Package
from workties.package import MAX_UNPACKED_BYTES

if TYPE_CHECKING:
    from http.client import HTTPResponse

logger = logging.getLogger(__name__)

#: Seconds without a byte after which a download counts as failed.
TIMEOUT = 20.0
#: Waits between tries to fetch a package, seconds: in all longer than a link to it lives, so that a server that was
#: away refuses it before the step is given up.
RETRY_WAITS = (0.5, 2.0, 5.0, *[10.0] * 70)
_CHUNK = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_PARTIAL, _FORBIDDEN, _BEYOND_THE_END = 206, 403, 416

#: Waits so many seconds; True if the package is not wanted any more.
Wait = Callable[[float], bool]


class BrokenOff(OSError):
    """A download ended before its end. Trying again goes on from there."""


class Downloader:
    """Fetches packages from one server.

    Args:
        server_url: the only server from which anything is fetched.
        ca_file: certificates to trust instead of the system's.
    """

    def __init__(self, server_url: str, ca_file: Path | None = None) -> None:
        self._server, self._ca_file = server_url, ca_file

    def fetch(self, package: Package, part: Path, wait: Wait) -> None:
        """Make `part` the whole package; it may begin with what earlier tries left there, and does so after an error.

        Raises:
            PackageUnavailable: it cannot be fetched, or is not what was announced, in which case nothing of it is left.
            Cancelled: `wait` said so.
        """
        self._refuse_foreign(package)
        if wait(0):
            raise Cancelled
        for pause in (*RETRY_WAITS, None):
            try:
                self._try(package, part, wait)
                return
            except OSError as error:
                status = getattr(error, "code", None)
                if pause is None or (status is not None and status < 500):
                    raise self._unavailable(package, part, error) from error
                logger.warning("Package %s is not fetched: %s. Trying again in %s s", package.sha256, error, pause)
                if wait(pause):
                    raise Cancelled from error

    def _try(self, package: Package, part: Path, wait: Wait) -> None:
        """One try. Raises `OSError` if another one may help, and `PackageUnavailable` if not."""
        resumed = _size(part)
        if resumed < package.size:
            resumed = self._download(package, part, resumed, wait)
        if _size(part) == package.size and _digest(part) == package.sha256:
            return
        part.unlink()
        if resumed:
            raise BrokenOff("what was left of an earlier download is damaged; starting again")
        raise PackageUnavailable(
            f"The package {package.sha256[:12]} is not the one that was announced: its size or digest differs"
        )

    def _download(self, package: Package, part: Path, begin: int, wait: Wait) -> int:
        """Get what is missing; returns how much of what was there was kept, bytes."""
        from http.client import HTTPException  # noqa: PLC0415 - as in `_open`

        try:
            with self._open(package, begin) as response:
                kept = begin if begin and response.status == _PARTIAL and _begins_at(response, begin) else 0
                length = response.length
                written = _write(response, part, kept, package.size, wait)
        except HTTPException as error:
            raise BrokenOff(f"the connection broke off ({type(error).__name__})") from error
        # Without a length nobody knows whether more was to come.
        if kept + written < package.size and (length is None or written < length):
            raise BrokenOff(f"the connection broke off after {kept + written} of {package.size} bytes")
        return kept

    def _open(self, package: Package, begin: int) -> contextlib.AbstractContextManager[HTTPResponse]:
        # Imported here: a board that waits for work needs no HTTP client in memory.
        from urllib.error import HTTPError  # noqa: PLC0415
        from urllib.request import (  # noqa: PLC0415
            HTTPRedirectHandler,
            HTTPSHandler,
            ProxyHandler,
            Request,
            build_opener,
        )

        class NoRedirects(HTTPRedirectHandler):
            """Whoever redirects is not the server that was agreed on."""

            def redirect_request(self, *args: object) -> None:
                """No."""

        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        opener = build_opener(NoRedirects, ProxyHandler({}), HTTPSHandler(context=context))
        headers = {"Range": f"bytes={begin}-", "If-Range": f'"{package.sha256}"'} if begin else {}
        try:
            request = Request(package.url, headers=headers)  # noqa: S310 - of the server's origin, see `_refuse_foreign`
            response: contextlib.AbstractContextManager[HTTPResponse] = opener.open(request, timeout=TIMEOUT)
        except HTTPError as error:
            if begin and error.code == _BEYOND_THE_END:
                error.close()
                return self._open(package, 0)
            raise
        return response

    def _refuse_foreign(self, package: Package) -> None:
        if _origin(package.url) != _origin(self._server):
            raise PackageUnavailable(
                f"The package {package.sha256[:12]} is not offered by the server of WORKTY_SERVER_URL ({self._server})"
            )
        if package.size > MAX_UNPACKED_BYTES:
            raise PackageUnavailable(
                f"The package {package.sha256[:12]} has {package.size} bytes; {MAX_UNPACKED_BYTES} are allowed"
            )

    def _unavailable(self, package: Package, part: Path, error: OSError) -> PackageUnavailable:
        name, here = package.sha256[:12], f"{_size(part)} of {package.size} bytes are here"
        if getattr(error, "code", None) == _FORBIDDEN:
            return PackageUnavailable(
                f"The link to the package {name} is not valid any more (403; it was good until {package.url_expires}; "
                f"{here}). Run the workflow again: with a new link the download goes on from there"
            )
        return PackageUnavailable(f"The package {name} cannot be fetched from {self._server} ({here}): {error}")


def _write(response: HTTPResponse, part: Path, kept: int, size: int, wait: Wait) -> int:
    """Append to what is kept of the file, not much more than the package may have; returns how many bytes came."""
    written = 0
    with part.open("ab" if kept else "wb") as target:
        while chunk := response.read(_CHUNK):
            written += len(chunk)
            target.write(chunk)
            if kept + written > size:
                break
            if wait(0):
                raise Cancelled
    return written


def _begins_at(response: HTTPResponse, begin: int) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {begin}-")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _digest(part: Path) -> str:
    with part.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise PackageUnavailable(f"The package's URL makes no sense: {error}") from error
