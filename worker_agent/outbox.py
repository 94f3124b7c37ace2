"""Events that wait for the broker, in order; final events stay, to answer a second delivery.

A part of the journal, which holds the database's lock, makes the transactions and numbers the events.
"""

from __future__ import annotations

import json

from worker_agent.database import Database
from worker_agent.records import Key, StoredEvent
from workties.messages import StateReported, StepEvent, encode

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY,      -- order of sending
    run TEXT NOT NULL, instance TEXT NOT NULL, attempt INTEGER NOT NULL,
    kind TEXT NOT NULL, body TEXT NOT NULL,
    kept INTEGER NOT NULL,       -- a final event: stays to answer a second delivery
    sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS unsent ON outbox (id) WHERE sent = 0;
CREATE INDEX IF NOT EXISTS outbox_attempt ON outbox (run, instance, attempt);
"""


class Outbox:
    """The stored events of one board.

    Attributes:
        last_id: id of the newest event; to be set back when a transaction fails.
        confirmed: ids of events that the broker has and that are not struck out yet.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self.last_id: int = database.one("SELECT coalesce(max(id), 0) FROM outbox")[0]
        self.confirmed: set[int] = set()

    def store(self, key: Key, event: StepEvent, *, kept: bool) -> None:
        """Add an event; in a transaction."""
        self.last_id += 1
        body = json.dumps(encode(event), separators=(",", ":"))
        self._db.run(
            "INSERT INTO outbox (id, run, instance, attempt, kind, body, kept) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self.last_id, *key, event.kind, body, kept,
        )  # fmt: skip

    def send_again(self, key: Key) -> bool:
        """Let the final event of an attempt be sent again; False if it has none. In a transaction."""
        row = self._db.one("SELECT id FROM outbox WHERE (run, instance, attempt, kept) = (?, ?, ?, 1)", *key)
        if row is None:
            return False
        self.last_id += 1
        self._db.run("UPDATE outbox SET sent = 0, id = ? WHERE id = ?", self.last_id, row[0])
        return True

    def hush(self, key: Key) -> None:
        """Remove the events of an attempt but for a final one that the broker has had; in a transaction."""
        self._db.run(
            "DELETE FROM outbox WHERE (run, instance, attempt) = (?, ?, ?) AND NOT (kept = 1 AND sent = 1)", *key
        )

    def drop(self, key: Key) -> None:
        """Remove all events of an attempt; in a transaction."""
        self._db.run("DELETE FROM outbox WHERE (run, instance, attempt) = (?, ?, ?)", *key)

    def thin(self, key: Key, most: int) -> None:
        """Of more than `most` states of an attempt that wait, keep the newest; in a transaction."""
        names = (*key, StateReported.kind)
        count, newest = self._db.one(
            "SELECT count(*), max(id) FROM outbox WHERE (run, instance, attempt, kind, sent) = (?, ?, ?, ?, 0)", *names
        )
        if count > most:
            self._db.run(
                "DELETE FROM outbox WHERE (run, instance, attempt, kind, sent) = (?, ?, ?, ?, 0) AND id < ?",
                *names, newest,
            )  # fmt: skip

    def strike_out(self) -> set[int]:
        """Mark what the broker has; in a transaction. Returns the ids, to be taken out of `confirmed` if it works."""
        ids = set(self.confirmed)
        self._db.run_each("DELETE FROM outbox WHERE id = ? AND kept = 0", [(found,) for found in ids])
        self._db.run_each("UPDATE outbox SET sent = 1 WHERE id = ?", [(found,) for found in ids])
        return ids

    def unsent(self, limit: int) -> tuple[list[StoredEvent], int]:
        """Events to send, in order, and the id up to which they are complete."""
        rows = self._db.run(
            "SELECT id, kind, body FROM outbox WHERE sent = 0 ORDER BY id LIMIT ?", limit + len(self.confirmed)
        )
        events = [StoredEvent(*row) for row in rows if row[0] not in self.confirmed][:limit]
        return events, events[-1].id if len(events) == limit else self.last_id

    def queued(self, kind: str | None) -> int:
        """How many events (of one kind) wait to be sent."""
        rows = self._db.run("SELECT id FROM outbox WHERE sent = 0 AND kind = coalesce(?, kind)", kind)
        return sum(row[0] not in self.confirmed for row in rows)

    def unsent_finals(self) -> set[Key]:
        """Attempts that have ended, and the broker does not know it."""
        rows = self._db.run("SELECT id, run, instance, attempt FROM outbox WHERE sent = 0 AND kept = 1")
        return {Key(*row[1:]) for row in rows if row[0] not in self.confirmed}
