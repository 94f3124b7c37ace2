"""How often a client may ask (live API contract, section 2). Pure: the time is passed in."""

from __future__ import annotations

from enum import Enum

#: Requests a second, and over how many seconds they are counted.
RATE, WINDOW = 50.0, 2.0
#: Seconds of asking too often after which a client is disconnected.
PATIENCE = 10.0


class Verdict(Enum):
    """What becomes of a request."""

    SERVE = "serve"
    REFUSE = "refuse"
    DISCONNECT = "disconnect"


class Flood:
    """Counts the requests of one client; a token bucket that holds `RATE * WINDOW` requests."""

    def __init__(self) -> None:
        self._left = RATE * WINDOW
        self._at: float | None = None
        self._since: float | None = None

    def asked(self, now: float) -> Verdict:
        """What becomes of a request that came at `now` (seconds)."""
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._left = min(RATE * WINDOW, self._left + passed * RATE)
        if self._left >= 1:
            self._left -= 1
            if self._left >= RATE:  # it has been quiet for a while
                self._since = None
            return Verdict.SERVE
        if self._since is None:
            self._since = now
        return Verdict.DISCONNECT if now - self._since >= PATIENCE else Verdict.REFUSE
