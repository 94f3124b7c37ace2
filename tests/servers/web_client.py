"""A client of the live API under node, with the library that web pages use (tests/node)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Condition, Thread
from typing import Any

NODE = Path(__file__).parents[1] / "node"
#: Seconds that something may take on a slow and busy machine.
PATIENCE = 60.0


class WebClient:
    """A process that opens namespaces of one account, and tells what it hears.

    Parameters:
        url: the server.
        issued: the answer to `POST /tokens`.
        transports: as socket.io-client names them.
    """

    def __init__(self, url: str, issued: Mapping[str, str], transports: tuple[str, ...] = ("websocket",)) -> None:
        if not (NODE / "node_modules").is_dir():
            raise RuntimeError("socket.io-client is not installed. Install it: tests/setup.sh node .venv")
        self._url, self._issued, self._transports = url, issued, transports
        self._told: list[dict[str, Any]] = []
        self._news = Condition()
        self._asked = 0
        self._process = subprocess.Popen(
            ["node", str(NODE / "client.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> WebClient:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._order({"end": True})
        try:
            self._process.wait(timeout=PATIENCE)
        finally:
            self._process.kill()
            self._reader.join()
            self._process.stdin.close()
            self._process.stdout.close()

    def open(self, context: str, *, token: str | None = None) -> dict[str, Any]:
        """Open a context of the account; how it went."""
        namespace = self._namespace(context)
        given = {"url": self._url, "namespace": namespace, "token": token or self._issued["token"]}
        self._order({"open": {**given, "transports": self._transports}})
        return self._take(lambda told: namespace in (told.get("opened"), told.get("refused")), f"{context} to open")

    def ask(self, context: str, event: str, payload: Any = None) -> Any:
        """Send a request; the acknowledgement."""
        self._asked += 1
        number = self._asked
        asked = {"id": number, "namespace": self._namespace(context), "event": event, "payload": payload}
        self._order({"ask": asked})
        return self._take(lambda told: told.get("answered") == number, f"an answer to {event}")["with"]

    def next(self, context: str, event: str, wanted: Callable[[Any], bool] = lambda payload: True) -> Any:
        """Take the first message of this event that is wanted; waits for it."""
        place = [self._namespace(context), event]
        found = self._take(
            lambda told: told.get("heard", [])[:2] == place and wanted((told["heard"] + [None])[2]), f"{event}"
        )
        return (found["heard"] + [None])[2]

    def _namespace(self, context: str) -> str:
        return f"/{self._issued['accountId']}_{context}"

    def _order(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _take(self, wanted: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((told for told in self._told if wanted(told)), None)

        with self._news:
            message = self._news.wait_for(found, timeout=PATIENCE)
            assert message is not None, f"waited {PATIENCE} s in vain for {what}; heard {self._told}"
            self._told.remove(message)
            return message

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._told.append(json.loads(line))
                self._news.notify_all()
