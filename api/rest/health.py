"""Whether the server can do its work: `/healthz` (it answers, with its database) and `/readyz` (all it depends on)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait

from flask import Flask, Response

from api.rest.answers import answer
from api.services import Services

log = logging.getLogger("workty.api")

#: What has not answered after this long counts as away, seconds.
PATIENCE = 1.5


class Dependencies:
    """What the server depends on, by name; each check returns if it is there and raises if not."""

    def __init__(self, checks: Mapping[str, Callable[[], object]], patience: float = PATIENCE) -> None:
        self._checks = checks
        self._patience = patience
        self._threads = ThreadPoolExecutor(2 * len(checks), thread_name_prefix="ready")

    def present(self) -> dict[str, bool]:
        """Which of them are there. All are asked at once; takes no longer than `PATIENCE`."""
        asked = {name: self._threads.submit(self._is_there, name) for name in self._checks}
        done, _ = wait(asked.values(), timeout=self._patience)
        return {name: future in done and future.result() for name, future in asked.items()}

    def _is_there(self, name: str) -> bool:
        try:
            self._checks[name]()
        except Exception as error:  # whatever goes wrong, it is not there
            log.debug("%s: %s", name, type(error).__name__)
            return False
        return True


def add_health(app: Flask, services: Services) -> Dependencies:
    """Add `/healthz` and `/readyz` to an application; both need no login."""
    dependencies = Dependencies({"database": services.check, "broker": services.broker.waiting})

    def health() -> Response:
        services.check()
        return answer({"status": "ok"})

    def ready() -> Response:
        present = dependencies.present()
        told = {name: "ok" if there else "down" for name, there in present.items()}
        if all(present.values()):
            return answer({"status": "ready", **told})
        return answer({"status": "not ready", **told}, 503, headers={"Retry-After": "2"})

    app.add_url_rule("/healthz", "healthz", health)
    app.add_url_rule("/readyz", "readyz", ready)
    return dependencies
