"""The SQLite file of a journal: opens it, sets a damaged one aside, makes transactions. Knows no table's meaning."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from worker_agent.errors import JournalUnavailable

logger = logging.getLogger(__name__)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR_SHORT_READ)


class Database:
    """A database of one process. Every call holds `lock`, which may also be held over several calls.

    Args:
        path: the file; created with its directory. A damaged one is kept under another name, and a new one begun.
        schema: statements that create what does not exist yet.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.lock = threading.RLock()
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # nobody else's affair; the files beside it get the same mode
        try:
            self._db = _open(path, schema)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise self._unavailable(error) from error
            aside = _set_aside(path)
            logger.error(
                "The journal %s is damaged (%s). It is kept as %s and a new one begins: what ran here is lost, and the"
                " server lets it run again",
                path, error, aside,
            )  # fmt: skip
            self._db = _open(path, schema)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""
        return self._db.in_transaction

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Raises `JournalUnavailable` if it cannot be written."""
        with self.lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._roll_back()
                raise self._unavailable(error) from error
            except BaseException:
                self._roll_back()
                raise

    def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement; its rows."""
        with self.lock:
            return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: object) -> Any:
        """Execute a statement; its first row, None if it has none."""
        with self.lock:
            return self._db.execute(sql, values).fetchone()

    def run_each(self, sql: str, values: Iterable[tuple[object, ...]]) -> None:
        """Execute a statement with each of `values`."""
        with self.lock:
            self._db.executemany(sql, values)

    def close(self) -> None:
        """Nothing may be called afterwards."""
        with self.lock:
            self._db.close()

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite itself rolls back after some errors
            self._db.execute("ROLLBACK")

    def _unavailable(self, error: sqlite3.Error) -> JournalUnavailable:
        return JournalUnavailable(f"The journal {self._path} cannot be used: {error}. Is the disk full or broken?")


def _open(path: Path, schema: str) -> sqlite3.Connection:
    with contextlib.ExitStack() as undo:
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        undo.callback(db.close)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            error = sqlite3.DatabaseError(found)
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        db.executescript(schema)
        undo.pop_all()
    return db


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)
    return code in _DAMAGED or code & 0xFF in _DAMAGED


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    path.rename(aside)
    return aside
