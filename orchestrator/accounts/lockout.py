"""Slows down who guesses passwords: after some failures every further try has to wait longer than the one before.

Counts by e-mail, whether an account has it or not, and by network, in the database, so that all processes agree. A try
that is refused for being too early counts for nothing. What is counted is forgotten an hour after the last failure;
a right password in between changes nothing, so that nobody resets the count with an account of his own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from pymongo.database import Database

from orchestrator.accounts.peer import Peer
from orchestrator.errors import TooManyRequests

#: Failures of an e-mail that cost nothing.
FREE_OF_EMAIL = 5
#: The same of a network, which people share.
FREE_OF_NETWORK = 20
#: How long the longest delay is.
LONGEST = timedelta(minutes=5)
#: After how long without failures they are forgotten.
FORGOTTEN = timedelta(hours=1)


def delay(failures: int, free: int) -> timedelta:
    """How long after the last one of so many failures the next try may be: 1 s, 2 s, 4 s, ... beyond the free ones."""
    if failures < free:
        return timedelta()
    return min(timedelta(seconds=2 ** min(failures - free, 30)), LONGEST)


class Lockout:
    """The failures of all who tried to log in."""

    def __init__(self, db: Database[dict[str, Any]], clock: Callable[[], datetime]) -> None:
        self._failures = db["login_failures"]
        self._clock = clock

    def check(self, email: str, peer: Peer) -> None:
        """Return if a try is allowed now. Raises `TooManyRequests`."""
        free = _free(email, peer)
        now = self._clock()
        waits = [
            entry["last"] + delay(entry["count"], free[entry["_id"]]) - now
            for entry in self._failures.find({"_id": {"$in": list(free)}})
        ]
        wait = max(waits, default=timedelta())
        if wait > timedelta():
            raise TooManyRequests("Too many wrong credentials", math.ceil(wait.total_seconds()))

    def failed(self, email: str, peer: Peer) -> None:
        """Count a failure."""
        now = self._clock()
        for key in _free(email, peer):
            # The index that forgets runs once a minute and by the computer's clock; an older count begins anew.
            self._failures.delete_one({"_id": key, "last": {"$lte": now - FORGOTTEN}})
            self._failures.update_one(
                {"_id": key}, {"$inc": {"count": 1}, "$max": {"last": now, "expires": now + FORGOTTEN}}, upsert=True
            )


def _free(email: str, peer: Peer) -> dict[str, int]:
    """The keys under which a try is counted, with how many failures cost nothing."""
    return {_key("email", email): FREE_OF_EMAIL, _key("network", peer.network): FREE_OF_NETWORK}


def _key(kind: str, text: str) -> str:
    # Digests have one length, and people type passwords where e-mails belong.
    return f"{kind}:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
