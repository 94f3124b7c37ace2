"""A client's requests during a storm: each is sent until it is answered, over whichever api process answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import cycle
from threading import Event
from typing import Any

import requests

from api.client.errors import NotReachable
from api.client.socket import ANSWER, LOST, LiveSocket
from tests.servers.waiting import Deadline

#: Seconds that one request may take, that a try waits after one that failed, and after which all tries have failed.
REQUEST_SECONDS, RETRY_SECONDS, PATIENCE = 30.0, 0.3, 600.0
#: Statuses that say "later".
LATER = frozenset({429, 502, 503, 504})


class Caller:
    """Speaks for one account. For one thread.

    Parameters:
        urls: servers, of which each try goes to the next one.
        account, token: for whom it speaks.
        wrong: gets a sentence for each answer that may not be.
    """

    def __init__(self, urls: list[str], account: str, token: str, wrong: list[str]) -> None:
        self._urls, self._account, self._token, self._wrong = cycle(urls), account, token, wrong
        self._pause = Event()

    def run(self, workflow: str) -> None:
        """Run a workflow once, however often that has to be asked."""
        key = secrets.token_hex(8)

        def asked() -> bool:
            nonlocal key
            answer = self._try("PUT", f"/workflows/{workflow}/running", {"Idempotency-Key": key})
            if answer is None or answer.status_code != 409:
                return answer is not None
            found = self._try("GET", f"/runs?workflowId={workflow}&fields=_id")
            if found is not None and not found.json() and "Retry-After" not in answer.headers:
                key = secrets.token_hex(8)  # it was cut off before it did anything
            return found is not None and bool(found.json())

        self._until(asked, f"workflow {workflow} to run")

    def pause(self, workflow: str) -> None:
        """Pause its run."""
        self._until(lambda: self._try("PUT", f"/workflows/{workflow}/pausing") is not None, f"{workflow} to pause")

    def stop(self, workflow: str) -> None:
        """Stop its run."""
        self._until(lambda: self._try("DELETE", f"/workflows/{workflow}/running") is not None, f"{workflow} to stop")

    def resume(self, workflow: str) -> None:
        """Have its run go on if it is paused, or is to be; else nothing happens."""
        self._until(lambda: self._resumed(workflow), f"{workflow} to go on")

    def _resumed(self, workflow: str) -> bool:
        try:
            socket = LiveSocket(next(self._urls), self._account, self._token)
        except NotReachable:
            return False
        try:
            number = socket.ask("sv.workflow.resume", {"workflow": {"id": workflow}})
            deadline = Deadline(REQUEST_SECONDS)
            while (message := socket.next(deadline.left())) is not None and message.event != LOST:
                if message.event == ANSWER and message.number == number:
                    return self._understood(message.payload)
            return False
        finally:
            socket.close()

    def _understood(self, answer: Any) -> bool:
        """Whether it goes on, or (error 9) nothing is paused."""
        error = (answer or {}).get("err")
        return not error or error["body"]["error"]["code"] == 9

    def _try(self, method: str, path: str, headers: dict[str, str] | None = None) -> requests.Response | None:
        """One request; None if it was not answered, or with "later"."""
        try:
            answer = requests.request(
                method,
                f"{next(self._urls)}/api/v1{path}",
                headers={"Authorization": f"Bearer {self._token}", **(headers or {})},
                timeout=REQUEST_SECONDS,
            )
        except requests.RequestException:
            return None
        if answer.status_code in LATER:
            return None
        if not answer.ok and answer.status_code != 409:
            self._wrong.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return None
        return answer

    def _until(self, done: Callable[[], bool], what: str) -> None:
        deadline = Deadline(PATIENCE)
        while not done():
            if not deadline.left():
                raise TimeoutError(f"waited {PATIENCE:g} s in vain for {what}")
            self._pause.wait(RETRY_SECONDS)
