"""The attempts that a board took charge of, as rows. What may become of them is decided in the journal.

A part of the journal, which holds the database's lock and makes the transactions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from worker_agent.database import Database
from worker_agent.records import Key
from workties.messages import ActiveAttempt, Assignment, Checkpoint, encode
from workties.parsing import parse_checkpoint

SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY,  -- order of arrival
    run TEXT NOT NULL, instance TEXT NOT NULL, attempt INTEGER NOT NULL,
    phase TEXT NOT NULL,         -- accepted, running, ended; one that was forgotten has ended without a final event
    assignment TEXT,             -- until it has ended
    state TEXT NOT NULL,
    checkpoint TEXT,
    seq INTEGER NOT NULL,        -- no event has a higher number
    UNIQUE (run, instance, attempt));
CREATE INDEX IF NOT EXISTS unended ON attempts (number) WHERE phase <> 'ended';
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of an attempt."""

    phase: str
    seq: int
    state: str
    checkpoint: Checkpoint | None


class Attempts:
    """The table of attempts. `ended` counts those that have ended; to be set back when a transaction fails."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.ended: int = database.one("SELECT count(*) FROM attempts WHERE phase = 'ended'")[0]

    def find(self, key: Key) -> Row | None:
        """An attempt, if it is known."""
        row = self._db.one(
            "SELECT phase, seq, state, checkpoint FROM attempts WHERE (run, instance, attempt) = (?, ?, ?)", *key
        )
        if not row:
            return None
        checkpoint = parse_checkpoint({"checkpoint": json.loads(row[3])}) if row[3] else None
        return Row(row[0], row[1], row[2], checkpoint)

    def newest(self, key: Key) -> int:
        """The newest attempt of the same instance; 0 if there is none."""
        sql = "SELECT coalesce(max(attempt), 0) FROM attempts WHERE run = ? AND instance = ?"
        found: int = self._db.one(sql, key.run, key.instance)[0]
        return found

    def running(self) -> dict[Key, int]:
        """Attempts that have begun and not ended, with the highest number that an event of theirs can have."""
        rows = self._db.run("SELECT run, instance, attempt, seq FROM attempts WHERE phase = 'running'")
        return {Key(*row[:3]): row[3] for row in rows}

    def accepted(self) -> list[tuple[Key, str]]:
        """Attempts that have not begun, with their assignment as JSON text, in order of arrival."""
        rows = self._db.run(
            "SELECT run, instance, attempt, assignment FROM attempts WHERE phase = 'accepted' ORDER BY number"
        )
        return [(Key(*row[:3]), row[3]) for row in rows]

    def unended(self) -> list[ActiveAttempt]:
        """Attempts that have not ended, in order of arrival."""
        rows = self._db.run(
            "SELECT run, instance, attempt, seq, state FROM attempts WHERE phase <> 'ended' ORDER BY number"
        )
        return [ActiveAttempt(*row) for row in rows]

    def insert(self, key: Key, phase: str, seq: int, assignment: Assignment | None = None) -> None:
        """Add an attempt."""
        checkpoint = assignment.checkpoint if assignment else None
        self._db.run(
            "INSERT INTO attempts (run, instance, attempt, phase, assignment, state, checkpoint, seq)"
            " VALUES (?, ?, ?, ?, ?, 'accepted', ?, ?)",
            *key, phase, _json(assignment), _json(checkpoint), seq,
        )  # fmt: skip
        self.ended += phase == "ended"

    def begin(self, key: Key) -> None:
        """An accepted attempt runs now."""
        self._db.run("UPDATE attempts SET phase = 'running' WHERE (run, instance, attempt) = (?, ?, ?)", *key)

    def close(self, key: Key) -> None:
        """An attempt that had not ended has ended; what only a running one needs is given up."""
        self._db.run(
            "UPDATE attempts SET phase = 'ended', assignment = NULL, checkpoint = NULL"
            " WHERE (run, instance, attempt) = (?, ?, ?)",
            *key,
        )
        self.ended += 1

    def set_seq(self, key: Key, seq: int) -> None:
        """No event of it has a higher number."""
        self._db.run("UPDATE attempts SET seq = ? WHERE (run, instance, attempt) = (?, ?, ?)", seq, *key)

    def set_state(self, key: Key, state: str) -> None:
        """It is in this state now."""
        self._db.run("UPDATE attempts SET state = ? WHERE (run, instance, attempt) = (?, ?, ?)", state, *key)

    def set_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        """It can go on from here."""
        text = _json(checkpoint)
        self._db.run("UPDATE attempts SET checkpoint = ? WHERE (run, instance, attempt) = (?, ?, ?)", text, *key)

    def remove_told(self, count: int) -> list[Key]:
        """Remove the oldest so many attempts that have ended and of which the broker has the end; returns them."""
        rows = self._db.run(
            "SELECT a.run, a.instance, a.attempt FROM attempts a"
            " LEFT JOIN outbox o ON (o.run, o.instance, o.attempt, o.kept) = (a.run, a.instance, a.attempt, 1)"
            " WHERE a.phase = 'ended' AND coalesce(o.sent, 1) = 1 ORDER BY a.number LIMIT ?",
            count,
        )
        self._db.run_each("DELETE FROM attempts WHERE (run, instance, attempt) = (?, ?, ?)", rows)
        self.ended -= len(rows)
        return [Key(*row) for row in rows]


def _json(message: object) -> str | None:
    return None if message is None else json.dumps(encode(message), separators=(",", ":"))
