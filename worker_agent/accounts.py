"""Under which account the steps of each slot run, and whether it can get at what it needs."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from worker_agent.errors import NotIsolated

#: Numbers of accounts that slots take, if nobody has them; systemd too takes them for services without a lasting one.
NUMBERS = range(61184, 65520)


@dataclass(frozen=True, slots=True)
class Account:
    """Number of an account and its group, None for the agent's; `own`: nothing else on the board runs under it."""

    number: int | None = None
    own: bool = False


class Accounts:
    """The accounts of the slots of one board; to be closed.

    Args:
        wanted: the number of the account for all slots. None: one of its own for each if this is root, else the
            agent's.

    Raises:
        NotIsolated: there are not as many free accounts as slots.
    """

    def __init__(self, wanted: int | None, slots: int) -> None:
        self._locks: list[socket.socket] = []
        if os.getuid() != 0 or wanted == 0:
            self._accounts = [Account()] * slots
        elif wanted is not None:
            self._accounts = [Account(wanted)] * slots
        else:
            self._accounts = [Account(number, own=True) for number in self._take(slots)]

    def of(self, slot: int) -> Account:
        """The account of a slot, from 0."""
        return self._accounts[slot]

    def close(self) -> None:
        """Others may take the accounts."""
        for lock in self._locks:
            lock.close()

    def _take(self, count: int) -> list[int]:
        found: list[int] = []
        for number in NUMBERS:
            if len(found) == count:
                return found
            lock = _lock(number)
            if lock:
                self._locks.append(lock)
                found.append(number)
        self.close()
        raise NotIsolated(
            f"There are not {count} free accounts for steps from {NUMBERS[0]} to {NUMBERS[-1]}. Lower WORKTY_SLOTS, or"
            " set WORKTY_STEP_ACCOUNT to one account for all steps"
        )


def barrier(account: int, paths: Iterable[Path]) -> tuple[Path, Path] | None:
    """The first folder that `account` may not enter on the way to one of `paths`, and the path; None if it can."""
    for path in paths:
        for folder in (*reversed(path.parents), path):
            if not _may_enter(account, folder.stat()):
                return folder, path
    return None


def _may_enter(account: int, found: os.stat_result) -> bool:
    if found.st_uid == account:
        return bool(found.st_mode & 0o100)
    return bool(found.st_mode & (0o010 if found.st_gid == account else 0o001))


def _lock(number: int) -> socket.socket | None:
    """Take an account for this process; None if it is somebody's."""
    with contextlib.suppress(KeyError):
        pwd.getpwuid(number)
        return None
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0workty-step-account-{number}")  # a name that ends with the process, and leaves no file
    except OSError:
        lock.close()
        return None
    return lock
