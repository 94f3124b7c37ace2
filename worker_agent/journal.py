"""What a board remembers across a power cut: attempts it took charge of, and events not yet with the broker.

SQLite; every change of an attempt and the event that tells of it are one transaction, so neither exists without the
other. The journal numbers events. It does not run, send or decide anything else.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from worker_agent.records import Draft, Key, StoredEvent, Taken, key_of
from workties.messages import (
    Accepted,
    ActiveAttempt,
    Assignment,
    Checkpoint,
    Interrupted,
    Reason,
    Refused,
    StateReported,
    StepEvent,
    encode,
    parse_assignment,
    parse_checkpoint,
)

#: Ended attempts that are remembered, so that a second delivery is answered and not run.
KEPT_ATTEMPTS = 1000
#: Numbers set aside for progress events, which are numbered without a write.
_RESERVE = 32
#: Confirmed events are struck out together with the next write, or when there are so many of them.
_MAX_CONFIRMED = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY,  -- order of arrival
    run TEXT NOT NULL, instance TEXT NOT NULL, attempt INTEGER NOT NULL,
    phase TEXT NOT NULL,         -- accepted, running, ended
    assignment TEXT,             -- until it has ended
    state TEXT NOT NULL,
    checkpoint TEXT,
    seq INTEGER NOT NULL,        -- no event has a higher number
    UNIQUE (run, instance, attempt));
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY,      -- order of sending
    run TEXT NOT NULL, instance TEXT NOT NULL, attempt INTEGER NOT NULL,
    kind TEXT NOT NULL, body TEXT NOT NULL,
    kept INTEGER NOT NULL,       -- a final event: stays to answer a second delivery
    sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS unsent ON outbox (id) WHERE sent = 0;
CREATE INDEX IF NOT EXISTS outbox_attempt ON outbox (run, instance, attempt);
"""


@dataclass(slots=True)
class _Count:
    """Numbering of a running attempt: `last` given, `ceiling` set aside on disk."""

    last: int
    ceiling: int


class Journal:
    """The journal of one board. Safe for threads.

    Args:
        path: the database; created with its directory.
        board: id of the board.
        now: the time as ISO 8601 text, for the `at` of events.
        on_event: called after an event was stored (without the lock).
        kept_attempts: how many ended attempts are remembered.
    """

    def __init__(
        self,
        path: Path,
        board: str,
        now: Callable[[], str],
        on_event: Callable[[], None],
        *,
        kept_attempts: int = KEPT_ATTEMPTS,
    ) -> None:
        self.board = board
        #: Transactions written so far; each costs the flash of a board some life.
        self.writes = 0
        self._now = now
        self._on_event = on_event
        self._kept = kept_attempts
        self._lock = threading.RLock()
        self._confirmed: set[int] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._last_id: int = self._one("SELECT coalesce(max(id), 0) FROM outbox")[0]
        self._known: int = self._one("SELECT count(*) FROM attempts WHERE phase = 'ended'")[0]
        running = self._db.execute("SELECT run, instance, attempt, seq FROM attempts WHERE phase = 'running'")
        self._counts = {Key(*row[:3]): _Count(row[3], row[3]) for row in running}

    def close(self) -> None:
        """Strike out what was confirmed and close. Nothing else may be called afterwards."""
        self.flush()
        with self._lock:
            self._db.close()

    # --- attempts

    def take(self, assignment: Assignment, *, refusal: Reason | None, capacity: int) -> Taken:
        """Take charge of an attempt and answer it.

        A known attempt is answered again with what is known. An older one than known is refused, and so is any if
        there is a `refusal`, or if `capacity` attempts have not ended. Older attempts of the same instance that have
        not begun end here; those that run are the caller's to stop.
        """
        key = key_of(assignment)
        with self._write():
            if self._row(key):
                self._answer_again(key)
                return Taken.KNOWN
            newest = self._one("SELECT max(attempt) FROM attempts WHERE run = ? AND instance = ?", *key[:2])[0]
            if newest and newest > key.attempt:
                reason = Reason("old-attempt", f"attempt {newest} of this instance is known here")
                self._store(key, 1, partial(Refused, reason=reason), kept=False)
                return Taken.REFUSED
            refusal = refusal or self._no_room(capacity)
            if refusal:
                self.refuse(key, refusal)
                return Taken.REFUSED
            self._supersede(key)
            self._insert(key, "accepted", assignment, 1)
            self._store(key, 1, Accepted, kept=False)
            return Taken.NEW

    def refuse(self, key: Key, reason: Reason) -> None:
        """Refuse an attempt; one that is known is answered again instead."""
        with self._write():
            if self._row(key):
                self._answer_again(key)
            else:
                self._insert(key, "ended", None, 1)
                self._store(key, 1, partial(Refused, reason=reason), kept=True)

    def begin(self, key: Key) -> bool:
        """The attempt begins. False if it is not there to begin: stopped, forgotten or begun before."""
        with self._write():
            row = self._row(key)
            if not row or row["phase"] != "accepted":
                return False
            self._counts[key] = _Count(row["seq"], row["seq"])
            self._db.execute(
                "UPDATE attempts SET phase = 'running' WHERE run = ? AND instance = ? AND attempt = ?", key
            )
            self._report(key, partial(StateReported, state="running"))
            return True

    def report(self, key: Key, *drafts: Draft, checkpoint: Checkpoint | None = None) -> bool:
        """Store events of a running attempt in this order, and its newest checkpoint. False if it does not run."""
        with self._write():
            if key not in self._counts:
                return False
            self._report(key, *drafts, checkpoint=checkpoint)
            return True

    def end(self, key: Key, final: Draft, *before: Draft) -> bool:
        """A running attempt ends with `final`, after events not yet stored. False if it does not run."""
        with self._write():
            if key not in self._counts:
                return False
            self._report(key, *before)
            self._finish(key, final)
            return True

    def interrupt(self, key: Key, reason: Reason) -> None:
        """End an attempt that does not run here, and say so with its last checkpoint.

        One that ended before is answered again. One that was never heard of ends here and now, so that its
        assignment, if it is still on the way, does not begin.
        """
        with self._write():
            row = self._row(key)
            if row and row["phase"] == "ended":
                self._answer_again(key)
                return
            if not row:
                self._insert(key, "accepted", None, 0)
            self._finish(key, partial(Interrupted, reason=reason, checkpoint=self.checkpoint(key)))

    def forget(self, key: Key) -> None:
        """Delete an attempt and its events; nothing more is said about it."""
        with self._write():
            self._counts.pop(key, None)
            self._db.execute("DELETE FROM attempts WHERE run = ? AND instance = ? AND attempt = ?", key)
            self._db.execute("DELETE FROM outbox WHERE run = ? AND instance = ? AND attempt = ?", key)

    def accepted(self) -> list[Assignment]:
        """Attempts that have not begun, in order of arrival."""
        with self._lock:
            rows = self._db.execute("SELECT assignment FROM attempts WHERE phase = 'accepted' ORDER BY number")
            return [parse_assignment(json.loads(row[0])) for row in rows]

    def running(self) -> list[Key]:
        """Attempts that have begun and not ended; after a start of the agent: those that were cut short."""
        with self._lock:
            return list(self._counts)

    def checkpoint(self, key: Key) -> Checkpoint | None:
        """The last checkpoint of an attempt, at first the one it was assigned with."""
        with self._lock:
            row = self._row(key)
            return (
                parse_checkpoint({"checkpoint": json.loads(row["checkpoint"])}) if row and row["checkpoint"] else None
            )

    def active(self) -> tuple[ActiveAttempt, ...]:
        """Every attempt that has not ended, as a heartbeat lists it."""
        with self._lock:
            rows = self._db.execute(
                "SELECT run, instance, attempt, seq, state FROM attempts WHERE phase <> 'ended' ORDER BY number"
            ).fetchall()
            last = {key: count.last for key, count in self._counts.items()}
        return tuple(
            ActiveAttempt(run, instance, attempt, last.get(Key(run, instance, attempt), seq), state)
            for run, instance, attempt, seq, state in rows
        )

    # --- events

    def number(self, key: Key) -> tuple[dict[str, Any], int] | None:
        """What an event of a running attempt that is not stored (progress) needs: its names and number.

        Returns:
            That, and the id of the stored event after which it must be sent. None if the attempt does not run.
        """
        with self._lock:
            count = self._counts.get(key)
            if count is None:
                return None
            count.last += 1
            if count.last > count.ceiling:
                with self._write():
                    self._set_aside(key)
            return self._stamp(key, count.last), self._last_id

    def unsent(self, limit: int = 100) -> tuple[list[StoredEvent], int]:
        """Events to send, in order, and the id up to which they are complete."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, kind, body FROM outbox WHERE sent = 0 ORDER BY id LIMIT ?", (limit + len(self._confirmed),)
            ).fetchall()
            events = [StoredEvent(*row) for row in rows if row[0] not in self._confirmed][:limit]
            return events, events[-1].id if len(events) == limit else self._last_id

    def confirm(self, ids: Iterable[int]) -> None:
        """The broker has these events. They are struck out with the next write: sent twice, they do no harm."""
        with self._lock:
            self._confirmed.update(ids)
            if len(self._confirmed) >= _MAX_CONFIRMED:
                self.flush()

    def flush(self) -> None:
        """Strike out confirmed events now."""
        with self._lock:
            if self._confirmed:
                with self._write():
                    pass

    def queued(self, kind: str | None = None) -> int:
        """How many events (of one kind) wait to be sent."""
        with self._lock:
            rows = self._db.execute("SELECT id FROM outbox WHERE sent = 0 AND kind = coalesce(?, kind)", (kind,))
            return sum(row[0] not in self._confirmed for row in rows)

    # --- inside a transaction

    @contextmanager
    def _write(self) -> Iterator[None]:
        """One transaction; inside another one, a part of it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            before, counts = self._last_id, {key: (c.last, c.ceiling) for key, c in self._counts.items()}
            self._db.execute("BEGIN IMMEDIATE")
            try:
                confirmed = self._strike_out()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                self._last_id = before
                self._counts = {key: _Count(*count) for key, count in counts.items()}
                raise
            self._confirmed -= confirmed
            self.writes += 1
            stored = self._last_id > before
        if stored:
            self._on_event()

    def _strike_out(self) -> set[int]:
        ids = set(self._confirmed)
        self._db.executemany("DELETE FROM outbox WHERE id = ? AND kept = 0", [(found,) for found in ids])
        self._db.executemany("UPDATE outbox SET sent = 1 WHERE id = ?", [(found,) for found in ids])
        if self._known > self._kept * 1.1:
            self._prune()
        return ids

    def _prune(self) -> None:
        """Forget the oldest ended attempts whose final event is with the broker."""
        old = self._db.execute(
            "SELECT a.run, a.instance, a.attempt FROM attempts a JOIN outbox o USING (run, instance, attempt)"
            " WHERE a.phase = 'ended' AND o.sent = 1 ORDER BY a.number LIMIT ?",
            (self._known - self._kept,),
        ).fetchall()
        self._db.executemany("DELETE FROM attempts WHERE run = ? AND instance = ? AND attempt = ?", old)
        self._db.executemany("DELETE FROM outbox WHERE run = ? AND instance = ? AND attempt = ?", old)
        self._known -= len(old)

    def _supersede(self, key: Key) -> None:
        rows = self._db.execute(
            "SELECT run, instance, attempt FROM attempts WHERE run = ? AND instance = ? AND phase = 'accepted'", key[:2]
        ).fetchall()
        for row in rows:
            self.interrupt(Key(*row), Reason("stopped", f"attempt {key.attempt} took its place"))

    def _no_room(self, capacity: int) -> Reason | None:
        count = self._one("SELECT count(*) FROM attempts WHERE phase <> 'ended'")[0]
        message = f"{count} attempts have not ended here, no more than {capacity} are taken"
        return Reason("no-slot", message) if count >= capacity else None

    def _insert(self, key: Key, phase: str, assignment: Assignment | None, seq: int) -> None:
        checkpoint = _json(encode(assignment.checkpoint)) if assignment and assignment.checkpoint else None
        self._db.execute(
            "INSERT INTO attempts (run, instance, attempt, phase, assignment, state, checkpoint, seq)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, phase, _json(encode(assignment)) if assignment else None, "accepted", checkpoint, seq),
        )
        self._known += phase == "ended"

    def _report(self, key: Key, *drafts: Draft, checkpoint: Checkpoint | None = None) -> None:
        count = self._counts[key]
        for draft in drafts:
            count.last += 1
            event = self._store(key, count.last, draft, kept=False)
            if isinstance(event, StateReported):
                self._db.execute(
                    "UPDATE attempts SET state = ? WHERE run = ? AND instance = ? AND attempt = ?", (event.state, *key)
                )
        if checkpoint:
            self._db.execute(
                "UPDATE attempts SET checkpoint = ? WHERE run = ? AND instance = ? AND attempt = ?",
                (_json(encode(checkpoint)), *key),
            )
        self._set_aside(key)

    def _set_aside(self, key: Key) -> None:
        count = self._counts[key]
        count.ceiling = count.last + _RESERVE
        self._db.execute(
            "UPDATE attempts SET seq = ? WHERE run = ? AND instance = ? AND attempt = ?", (count.ceiling, *key)
        )

    def _finish(self, key: Key, final: Draft) -> None:
        count = self._counts.pop(key, None)
        seq = (
            count.last
            if count
            else self._one("SELECT seq FROM attempts WHERE run = ? AND instance = ? AND attempt = ?", *key)[0]
        ) + 1
        self._store(key, seq, final, kept=True)
        self._db.execute(
            "UPDATE attempts SET phase = 'ended', assignment = NULL, checkpoint = NULL, seq = ?"
            " WHERE run = ? AND instance = ? AND attempt = ?",
            (seq, *key),
        )
        self._known += 1

    def _answer_again(self, key: Key) -> None:
        """The final event, if it has ended, else `accepted`; as they were."""
        row = self._one("SELECT id FROM outbox WHERE kept = 1 AND run = ? AND instance = ? AND attempt = ?", *key)
        if row is None:
            self._store(key, 1, Accepted, kept=False)
            return
        self._last_id += 1
        self._db.execute("UPDATE outbox SET sent = 0, id = ? WHERE id = ?", (self._last_id, row[0]))

    def _store(self, key: Key, seq: int, draft: Draft, *, kept: bool) -> StepEvent:
        event = draft(**self._stamp(key, seq))
        self._last_id += 1
        self._db.execute(
            "INSERT INTO outbox (id, run, instance, attempt, kind, body, kept) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self._last_id, *key, event.kind, _json(encode(event)), kept),
        )
        return event

    def _stamp(self, key: Key, seq: int) -> dict[str, Any]:
        # The same event has the same id however often it is made.
        name = json.dumps([self.board, *key, seq])
        stamp = {"id": uuid.uuid5(uuid.NAMESPACE_OID, name).hex, "at": self._now(), "board": self.board}
        return {**stamp, **key._asdict(), "seq": seq}

    def _row(self, key: Key) -> Mapping[str, Any] | None:
        row = self._one(
            "SELECT phase, seq, checkpoint FROM attempts WHERE run = ? AND instance = ? AND attempt = ?", *key
        )
        return dict(zip(("phase", "seq", "checkpoint"), row, strict=True)) if row else None

    def _one(self, sql: str, *values: object) -> Any:
        return self._db.execute(sql, values).fetchone()


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
