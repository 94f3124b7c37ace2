"""`workty up` as its users run it: one process with everything in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import requests

from tests.servers import waiting
from tests.servers.ports import Ports
from tests.servers.process import ServerProcess
from tests.servers.stack import ADMIN, READY_SECONDS, REQUEST_SECONDS, WORKTY


class EmbeddedServer:
    """A running `workty up` on a port of its own.

    Parameters:
        directory: an empty directory for its log.
        settings: further settings, as environment variables.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self._ports = Ports(1)
        self.port = self._ports.numbers[0]
        self.url = f"http://127.0.0.1:{self.port}"
        environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "WORKTY_ADMIN_EMAIL": ADMIN[0],
            "WORKTY_ADMIN_PASSWORD": ADMIN[1],
            "PYTHONUNBUFFERED": "1",
            **(settings or {}),
        }
        command = [WORKTY, "up", "--port", str(self.port)]
        self.process = ServerProcess(command, directory=directory, environ=environ, name="up")

    def __enter__(self) -> EmbeddedServer:
        waiting.until(self._ready, seconds=READY_SECONDS, what="workty up to be ready", tail=self.process.tail)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()
        self._ports.release()

    def _ready(self) -> bool:
        if not self.process.alive:
            raise RuntimeError(f"workty up ended with {self.process.exit_code}\n{self.process.tail()}")
        try:
            return requests.get(f"{self.url}/healthz", timeout=REQUEST_SECONDS).ok
        except requests.ConnectionError:
            return False
