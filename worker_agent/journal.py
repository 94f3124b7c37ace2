"""What a board remembers across a power cut: attempts it took charge of, and events not yet with the broker.

SQLite; every change of an attempt and the event that tells of it are one transaction, so neither exists without the
other. The journal numbers events. It does not run, send or decide anything else.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from worker_agent import attempts, outbox
from worker_agent.database import Database
from worker_agent.errors import JournalUnavailable
from worker_agent.records import Draft, Key, StoredEvent, Taken, ids_of, key_of
from workties.errors import BadMessage
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
)
from workties.parsing import parse_assignment
from workties.process_log import about

logger = logging.getLogger(__name__)

#: Ended attempts that are remembered, so that a second delivery is answered and not run.
KEPT_ATTEMPTS = 1000
#: Seconds between two tries to write what must be written to a journal that cannot be written.
JOURNAL_WAIT = 2.0
#: Numbers set aside for progress events, which are numbered without a write.
_RESERVE = 32
#: Confirmed events are struck out together with the next write, or when there are so many of them.
_MAX_CONFIRMED = 200
#: So many states of one attempt may wait for the broker; then all but the newest, which is where it can go on, go.
MAX_STORED_STATES = 50


@dataclass(slots=True)
class _Count:
    """Numbering of a running attempt: `last` given, `ceiling` set aside on disk."""

    last: int
    ceiling: int
    states: int = 0  # stored since they were thinned out


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
        self._db = Database(path, attempts.SCHEMA + outbox.SCHEMA)
        self._attempts, self._outbox = attempts.Attempts(self._db), outbox.Outbox(self._db)
        self._counts = {key: _Count(seq, seq) for key, seq in self._attempts.running().items()}

    def close(self) -> None:
        """Strike out what was confirmed and close. Nothing else may be called afterwards."""
        self.flush()
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
            if self._attempts.find(key):
                self._answer_again(key, partial(Refused, reason=Reason("old-attempt", "this attempt was given up")))
                return Taken.KNOWN
            newest = self._attempts.newest(key)
            if newest > key.attempt:
                reason = Reason("old-attempt", f"attempt {newest} of this instance is known here")
                self._store(key, 1, partial(Refused, reason=reason), kept=False)
                return Taken.REFUSED
            refusal = refusal or self._no_room(capacity)
            if refusal:
                self.refuse(key, refusal)
                return Taken.REFUSED
            self._supersede(key)
            self._attempts.insert(key, "accepted", 1, assignment)
            self._store(key, 1, Accepted, kept=False)
            return Taken.NEW

    def refuse(self, key: Key, reason: Reason) -> None:
        """Refuse an attempt; one that is known is answered again instead."""
        with self._write():
            if self._attempts.find(key):
                self._answer_again(key, partial(Refused, reason=reason))
            else:
                self._attempts.insert(key, "ended", 1)
                self._store(key, 1, partial(Refused, reason=reason), kept=True)

    def begin(self, key: Key) -> bool:
        """The attempt begins. False if it is not there to begin: stopped, forgotten or begun before."""
        with self._write():
            row = self._attempts.find(key)
            if not row or row.phase != "accepted":
                return False
            self._counts[key] = _Count(row.seq, row.seq)
            self._attempts.begin(key)
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
            row = self._attempts.find(key)
            final = partial(Interrupted, reason=reason, checkpoint=self.checkpoint(key))
            if row and row.phase == "ended":
                self._answer_again(key, final)
                return
            if not row:
                self._attempts.insert(key, "accepted", 0)
            self._finish(key, final)

    def forget(self, key: Key) -> None:
        """Say nothing more about an attempt, known or not; it neither goes on nor begins, whatever is delivered.

        How it ended, if the server has been told, is remembered: a server that goes on with an older database asks.
        """
        with self._write():
            self._counts.pop(key, None)
            self._outbox.hush(key)
            row = self._attempts.find(key)
            if not row:
                self._attempts.insert(key, "ended", 0)
            elif row.phase != "ended":
                self._attempts.close(key)

    def accepted(self) -> list[Assignment]:
        """Attempts that have not begun, in order of arrival.

        What another version of the agent stored and this one cannot read is refused, and is not among them.
        """
        with self._db.lock:
            found = [self._parsed(key, text) for key, text in self._attempts.accepted()]
        return [assignment for assignment in found if assignment]

    def running(self) -> list[Key]:
        """Attempts that have begun and not ended; after a start of the agent: those that were cut short."""
        with self._db.lock:
            return list(self._counts)

    def checkpoint(self, key: Key) -> Checkpoint | None:
        """The last checkpoint of an attempt, at first the one it was assigned with."""
        row = self._attempts.find(key)
        return row.checkpoint if row else None

    def active(self) -> tuple[ActiveAttempt, ...]:
        """Every attempt of which the broker does not have the end, as a heartbeat lists it.

        One that has ended and whose end is still on its way would else be missing, and be given up by the server.
        """
        with self._db.lock:
            unended = [
                replace(found, seq=self._counts[key].last) if (key := key_of(found)) in self._counts else found
                for found in self._attempts.unended()
            ]
            untold = [(key, self._attempts.find(key)) for key in self._outbox.unsent_finals()]
        return (*unended, *(ActiveAttempt(*key, row.seq, row.state) for key, row in untold if row))

    # --- events

    def number(self, key: Key) -> tuple[dict[str, Any], int] | None:
        """What an event of a running attempt that is not stored (progress) needs: its names and number.

        Returns:
            That, and the id of the stored event after which it must be sent. None if the attempt does not run.
        """
        with self._db.lock:
            count = self._counts.get(key)
            if count is None:
                return None
            count.last += 1
            if count.last > count.ceiling:
                try:
                    with self._write():
                        self._set_aside(key)
                except JournalUnavailable:
                    return None
            return self._stamp(key, count.last), self._outbox.last_id

    def unsent(self, limit: int = 100) -> tuple[list[StoredEvent], int]:
        """Events to send, in order, and the id up to which they are complete."""
        with self._db.lock:
            return self._outbox.unsent(limit)

    def confirm(self, ids: Iterable[int]) -> None:
        """The broker has these events. They are struck out with the next write: sent twice, they do no harm."""
        with self._db.lock:
            self._outbox.confirmed.update(ids)
            if len(self._outbox.confirmed) >= _MAX_CONFIRMED:
                self.flush()

    def flush(self) -> None:
        """Strike out confirmed events now; if that cannot be written, later."""
        with self._db.lock:
            if not self._outbox.confirmed:
                return
            try:
                with self._write():
                    pass
            except JournalUnavailable as error:
                logger.error("%s", error)

    def queued(self, kind: str | None = None) -> int:
        """How many events (of one kind) wait to be sent."""
        with self._db.lock:
            return self._outbox.queued(kind)

    # --- inside a transaction

    @contextmanager
    def _write(self) -> Iterator[None]:
        """One transaction; inside another one, a part of it. Raises `JournalUnavailable`."""
        with self._db.lock:
            if self._db.in_transaction:
                yield
                return
            before, ended, counts = (
                self._outbox.last_id,
                self._attempts.ended,
                {k: replace(c) for k, c in self._counts.items()},
            )
            try:
                with self._db.transaction():
                    confirmed = self._outbox.strike_out()
                    self._prune()
                    yield
            except BaseException:
                self._outbox.last_id, self._attempts.ended, self._counts = before, ended, counts
                raise
            self._outbox.confirmed -= confirmed
            self.writes += 1
            stored = self._outbox.last_id > before
        if stored:
            self._on_event()

    def _prune(self) -> None:
        """Forget the oldest ended attempts, but none of which the broker does not have the end."""
        if self._attempts.ended > self._kept * 1.1:
            for key in self._attempts.remove_told(self._attempts.ended - self._kept):
                self._outbox.drop(key)

    def _parsed(self, key: Key, assignment: str) -> Assignment | None:
        try:
            return parse_assignment(json.loads(assignment))
        except (BadMessage, ValueError) as error:
            with about(**ids_of(key)):
                logger.error("An earlier version of the agent took it, and this one cannot read it: %s", error)
            with self._write():
                self._finish(key, partial(Refused, reason=Reason("bad-message", str(error)[:1000])))
            return None

    def _supersede(self, key: Key) -> None:
        for older, _ in self._attempts.accepted():
            if older[:2] == key[:2]:
                self.interrupt(older, Reason("stopped", f"attempt {key.attempt} took its place"))

    def _no_room(self, capacity: int) -> Reason | None:
        count = len(self._attempts.unended())
        message = f"{count} attempts have not ended here, no more than {capacity} are taken"
        return Reason("no-slot", message) if count >= capacity else None

    def _report(self, key: Key, *drafts: Draft, checkpoint: Checkpoint | None = None) -> None:
        count = self._counts[key]
        for draft in drafts:
            count.last += 1
            event = self._store(key, count.last, draft, kept=False)
            if isinstance(event, StateReported):
                self._attempts.set_state(key, event.state)
                count.states += 1
        if count.states > MAX_STORED_STATES:
            count.states = 0
            self._outbox.thin(key, MAX_STORED_STATES)
        if checkpoint:
            self._attempts.set_checkpoint(key, checkpoint)
        self._set_aside(key)

    def _set_aside(self, key: Key) -> None:
        count = self._counts[key]
        count.ceiling = count.last + _RESERVE
        self._attempts.set_seq(key, count.ceiling)

    def _finish(self, key: Key, final: Draft) -> None:
        count, row = self._counts.pop(key, None), self._attempts.find(key)
        self._end_with(key, final, (count.last if count else row.seq if row else 0) + 1)
        self._attempts.close(key)

    def _end_with(self, key: Key, final: Draft, seq: int) -> None:
        self._store(key, seq, final, kept=True)
        self._attempts.set_seq(key, seq)

    def _answer_again(self, key: Key, forgotten: Draft) -> None:
        """The final event as it was, `forgotten` if that was forgotten; `accepted` if the attempt has not ended."""
        row = self._attempts.find(key)
        if row and row.phase != "ended":
            self._store(key, 1, Accepted, kept=False)
        elif row and not self._outbox.send_again(key):
            self._end_with(key, forgotten, row.seq + 1)

    def _store(self, key: Key, seq: int, draft: Draft, *, kept: bool) -> StepEvent:
        event = draft(**self._stamp(key, seq))
        self._outbox.store(key, event, kept=kept)
        return event

    def _stamp(self, key: Key, seq: int) -> dict[str, Any]:
        # The same event has the same id however often it is made.
        name = json.dumps([self.board, *key, seq])
        stamp = {"id": uuid.uuid5(uuid.NAMESPACE_OID, name).hex, "at": self._now(), "board": self.board}
        return {**stamp, **key._asdict(), "seq": seq}
