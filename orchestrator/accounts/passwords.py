"""Passwords: slow salted hashes, and a short memory of what was verified so that not every request pays for one."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Lock

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: How long a verified password is remembered in this process.
REMEMBERED = timedelta(seconds=60)
#: How many verified passwords are remembered.
CAPACITY = 1024
#: Hashes computed at the same time; each takes 19 MiB.
CONCURRENT = 4


def default_hasher() -> PasswordHasher:
    """argon2id with 19 MiB and two passes, so that a server on a small board can afford several at once."""
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def generated_password() -> str:
    """A random password of 192 bits."""
    return secrets.token_urlsafe(24)


class Passwords:
    """Hashes and verifies passwords.

    A verified pair of password and hash is remembered for `REMEMBERED` under a digest whose key never leaves this
    object. A changed password has another hash, so what was remembered about the old one is never found again.
    """

    def __init__(self, clock: Callable[[], datetime], hasher: PasswordHasher | None = None) -> None:
        self._clock = clock
        self._hasher = hasher or default_hasher()
        self._decoy = self._hasher.hash(secrets.token_hex())
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, datetime] = OrderedDict()
        self._lock = Lock()
        self._slots = BoundedSemaphore(CONCURRENT)

    def hash(self, password: str) -> str:
        """The hash to store."""
        with self._slots:
            return self._hasher.hash(password)

    def matches(self, stored: str | None, password: str) -> bool:
        """Whether `password` belongs to the stored hash; without one it takes as long and is False."""
        digest = hmac.digest(self._key, f"{stored}\n{password}".encode("utf-8", "surrogatepass"), "sha256")
        if self._remembers(digest):
            return True
        if not self._verify(stored or self._decoy, password) or stored is None:
            return False
        self._remember(digest)
        return True

    def _verify(self, stored: str, password: str) -> bool:
        try:
            with self._slots:
                return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False

    def _remembers(self, digest: bytes) -> bool:
        with self._lock:
            until = self._verified.get(digest)
            return until is not None and self._clock() < until

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._verified[digest] = self._clock() + REMEMBERED
            self._verified.move_to_end(digest)
            if len(self._verified) > CAPACITY:
                self._verified.popitem(last=False)
