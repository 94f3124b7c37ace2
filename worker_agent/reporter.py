"""Tells what one step does: states and logs to the journal, progress to the publisher. Decides nothing about it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from functools import partial

from worker_agent.errors import JournalUnavailable
from worker_agent.journal import JOURNAL_WAIT, Journal
from worker_agent.outcome import Outcome
from worker_agent.publisher import Publisher
from worker_agent.records import Draft, Key
from worker_agent.state_spans import StateSpans
from workties.messages import Checkpoint, Completed, Failed, Interrupted, Log, LogLine, Reason, StateReported
from workties.tracing import NO_TRACING

logger = logging.getLogger(__name__)

#: Seconds that lines of output wait for company; each message of them is a write on the board's flash.
LOG_DELAY = 2.0
#: Largest message of log lines, bytes of JSON.
LOG_BYTES = 48 * 1024
#: Most messages of log lines that wait for the broker; further lines are counted and dropped.
MAX_STORED_LOGS = 200
_LINE_OVERHEAD = 80


class Reporter:
    """The voice of one attempt.

    Args:
        now: the time as ISO 8601 text.
        wait: waits so many seconds, but not when the step is to end: then True at once.
        clock: seconds that only grow.
        states: is told of states, for traces.
    """

    def __init__(
        self,
        key: Key,
        journal: Journal,
        publisher: Publisher,
        now: Callable[[], str],
        *,
        wait: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
        states: StateSpans | None = None,
    ) -> None:
        self._states = states or StateSpans(NO_TRACING)
        self._key, self._journal, self._publisher = key, journal, publisher
        self._now, self._wait, self._clock = now, wait, clock
        self._lines: list[LogLine] = []
        self._size = 0
        self._flush_at: float | None = None
        self._dropped = 0

    def state(self, checkpoint: Checkpoint) -> None:
        """The step entered a state, or made a checkpoint within it; from here it can go on.

        Returns when that is stored, however long the disk is full, or when the step is to end.
        """
        self._states.entered(checkpoint.state)
        drafts = self._take_lines()
        drafts.append(partial(StateReported, state=checkpoint.state, checkpoint=checkpoint))
        while True:
            try:
                self._journal.report(self._key, *drafts, checkpoint=checkpoint)
                return
            except JournalUnavailable as error:
                logger.error("State '%s' is not stored. %s", checkpoint.state, error)
                if self._wait(JOURNAL_WAIT):
                    return

    def progress(self, progress: float, message: str) -> None:
        """The step is this far."""
        self._publisher.progress(self._key, progress, message)

    def line(self, stream: str, text: str) -> None:
        """The step wrote a line."""
        size = len(json.dumps(text)) + _LINE_OVERHEAD
        if self._size + size > LOG_BYTES:
            self._flush()
        if self._flush_at is None:
            self._flush_at = self._clock() + LOG_DELAY
        self._lines.append(LogLine(self._now(), stream, text))
        self._size += size

    def tick(self) -> float | None:
        """Send lines that have waited long enough; how long the others may wait."""
        if self._flush_at is None:
            return None
        if self._clock() >= self._flush_at:
            self._flush()
            return None
        return self._flush_at - self._clock()

    def end(self, outcome: Outcome) -> str:
        """The step ended; nothing more is said about it. Returns how, in a word and a code, for the log."""
        last = self._final(outcome)
        self._publisher.settle(self._key)
        self._journal.end(self._key, last, *self._take_lines())
        if outcome.reason is None:
            return "completed"
        return f"{'failed' if outcome.failed else 'interrupted'} ({outcome.reason.code})"

    def fail(self, code: str, message: str) -> str:
        """The step failed without a program that ran. Returns as `end`."""
        self._publisher.settle(self._key)
        self._journal.end(self._key, partial(Failed, reason=Reason(code, message)), *self._take_lines())
        return f"failed ({code})"

    def interrupt(self, reason: Reason) -> str:
        """The step ended before its time. Returns as `end`."""
        self._publisher.settle(self._key)
        checkpoint = self._journal.checkpoint(self._key)
        self._journal.end(self._key, partial(Interrupted, reason=reason, checkpoint=checkpoint), *self._take_lines())
        return f"interrupted ({reason.code})"

    def _final(self, outcome: Outcome) -> Draft:
        usage = outcome.exit.usage
        if outcome.reason is None:
            return partial(Completed, output=outcome.output, usage=usage)
        if not outcome.failed:
            return partial(Interrupted, reason=outcome.reason, checkpoint=self._journal.checkpoint(self._key))
        return partial(
            Failed,
            reason=outcome.reason,
            return_code=outcome.exit.return_code,
            last_output=outcome.last_output,
            usage=usage,
        )

    def _flush(self) -> None:
        count, drafts = len(self._lines), self._take_lines()
        if drafts:
            try:
                self._journal.report(self._key, *drafts)
            except JournalUnavailable as error:  # no reason to end the step
                logger.error("%s %d lines of output are dropped", error, count)
                self._dropped += count

    def _take_lines(self) -> list[Draft]:
        """What has gathered, as one message; nothing while too much waits for the broker."""
        lines, self._lines, self._size, self._flush_at = tuple(self._lines), [], 0, None
        if not lines and not self._dropped:
            return []
        if self._journal.queued(Log.kind) >= MAX_STORED_LOGS:
            self._dropped += len(lines)
            return []
        dropped, self._dropped = self._dropped, 0
        return [partial(Log, lines=lines, dropped=dropped)]
