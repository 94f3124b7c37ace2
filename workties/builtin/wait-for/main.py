"""Waits for a port, a URL or a file. Each look tells what it saw, so that a wait in vain can say what was missing."""

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from workties import StepFailed, Workty
from workties.sdk import Paused
from workties.web import checked_url, in_words, shown

#: Longest time that one look may take, seconds.
LOOK = 10.0
#: Longest time between two reports of progress and between two checkpoints, seconds.
TICK, CHECKPOINT = 1.0, 10.0

#: Whether it is as it should be, and what was seen.
Seen = tuple[bool, str]


class WaitFor(Workty):
    """Remembers for how long it has waited, so that pauses and interruptions do not count."""

    states = ("preparing", "waiting", "finishing")

    def on_enter_preparing(self) -> None:
        given = [name for name in ("port", "url", "file") if self.properties[name]]
        if len(given) != 1:
            raise StepFailed(f"Set exactly one of the properties port, url and file; got {', '.join(given) or 'none'}")
        for name, least in (("timeout", 0), ("unchanged", 0), ("interval", 0.1)):
            if self.properties[name] < least:
                raise StepFailed(f"Property '{name}': expected seconds, {least} or more, got {self.properties[name]}")
        self._look()  # refuses what it cannot understand
        self.memory.update(what=given[0], waited=0.0)

    def on_enter_waiting(self) -> None:
        look, timeout = self._look(), self.properties["timeout"]
        began = time.monotonic() - self.memory["waited"]
        saved = self.memory["waited"]
        while True:
            there, seen = look()
            waited = self.memory["waited"] = time.monotonic() - began
            if there:
                break
            if waited >= timeout:
                self._begin_anew()
                raise StepFailed(f"Waited {timeout:g} s in vain for {self._target()}; last seen: {seen}")
            self.progress(waited / timeout, f"waited {waited:.0f} of {timeout:g} s; {seen}")
            if waited - saved >= CHECKPOINT:
                saved = waited
                self.checkpoint()
            self._rest(began, waited + min(self.properties["interval"], timeout - waited))
        self.output["seen"] = seen

    def on_enter_finishing(self) -> None:
        self.output["waited"] = round(self.memory["waited"], 3)
        self.progress(1, self.output["seen"])

    def _begin_anew(self) -> None:
        """Let another attempt, if there is one, wait for the whole time."""
        self.memory["waited"] = 0.0
        with contextlib.suppress(Paused):
            self.checkpoint()

    def _rest(self, began: float, until: float) -> None:
        """Wait until so many seconds have been waited; what a pause remembers is never older than a tick."""
        while (waited := time.monotonic() - began) < until:
            self.memory["waited"] = waited
            self.wait(min(TICK, until - waited))

    def _target(self) -> str:
        what = self.memory["what"]
        return f"{what} {shown(self.properties[what])}"

    def _look(self) -> Callable[[], Seen]:
        """How to look for what the properties name."""
        properties = self.properties
        if properties["port"]:
            host, port = _host_and_port(properties["port"])
            return lambda: see_port(host, port)
        if properties["url"]:
            checked_url(properties["url"])
            return lambda: see_url(properties["url"], properties["status"])
        return FileWatch(properties["file"], properties["unchanged"]).see


class FileWatch:
    """Looks at a file again and again, and notices when it changes."""

    def __init__(self, path: str, unchanged: float) -> None:
        self._path, self._unchanged = Path(path), unchanged
        self._last: tuple[int, int] | None = None
        self._since = 0.0

    def see(self) -> Seen:
        try:
            found = self._path.stat()
        except OSError as error:
            self._last = None
            return False, in_words(error)
        now = time.monotonic()
        if (found.st_size, found.st_mtime_ns) != self._last:
            self._last, self._since = (found.st_size, found.st_mtime_ns), now
        quiet = now - self._since
        if quiet < self._unchanged:
            return False, f"{found.st_size} bytes, unchanged for {quiet:.0f} s"
        return True, f"{found.st_size} bytes"


def see_port(host: str, port: int) -> Seen:
    """Whether it takes a connection."""
    try:
        socket.create_connection((host, port), timeout=LOOK).close()
    except OSError as error:
        return False, in_words(error)
    return True, "takes connections"


def see_url(url: str, status: int) -> Seen:
    """Whether it answers a GET with this status, or any of 200 to 299 for 0."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=LOOK, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=LOOK)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl() or "/")
        found = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return False, in_words(error)
    finally:
        connection.close()
    return (found == status if status else 200 <= found <= 299), f"status {found}"


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise StepFailed(f"Property 'port': expected host:port, e.g. 10.0.0.7:22, got {text!r}")
    return host, int(port)
