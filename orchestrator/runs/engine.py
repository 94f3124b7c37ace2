"""The engine: loads a run, decides, writes once, and carries out what was decided.

Any number of engines, in any number of processes, may work on the same runs. The decisions are `decide`'s, the writes
`RunStore`'s, the effects `Effects`'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from orchestrator.errors import Contended, OrchestratorError
from orchestrator.runs.catching_up import further
from orchestrator.runs.decide import begin, decide
from orchestrator.runs.decision import Decision, Instruct
from orchestrator.runs.differences import BoardsAttempt, Difference, Differences
from orchestrator.runs.effects import Effects
from orchestrator.runs.store import RunStore, Stored
from orchestrator.runs.vocabulary import NO_SLOT, Run, RunEvent, StepReason
from workties.messages import StepEvent
from workties.process_log import about
from workties.tracing import NO_TRACING, Tracing

log = logging.getLogger(__name__)

#: Lost races against other writers before the engine gives up. Every lost race means that somebody else got on.
TRIES = 50


class Engine:
    """Applies events to runs.

    Args:
        store: the runs.
        effects: carries effects out.
        clock: the moment, UTC.
        new_token: makes a unique name for each time this process drains an outbox.
        differences: is told where boards know more than the database.
        tracing: records what is decided.
    """

    def __init__(
        self,
        store: RunStore,
        effects: Effects,
        clock: Callable[[], datetime],
        new_token: Callable[[], str],
        differences: Differences,
        *,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._tracing = tracing
        self._store = store
        self._effects = effects
        self._clock = clock
        self._new_token = new_token
        self._differences = differences

    def start(self, run: Run, renewed: Collection[str], waits_for: StepReason = NO_SLOT) -> Run | None:
        """Begin a new run; None if its workflow got a run of that number meanwhile.

        Args:
            run: with every step `initial`.
            renewed: ids of the instances that are not `initial` from the run before.
            waits_for: what it says until it gets a slot.
        """
        token = self._new_token()
        stored = self._store.insert(begin(run, renewed, self._clock(), waits_for), token, self._clock())
        if stored is None:
            return None
        with about(run=run.id):
            log.info("Was asked for: run %d of workflow %s (steps: %d)", run.number, run.workflow, len(run.steps))
            return self._drain(stored, token)

    def handle(self, run_id: str, events: Sequence[RunEvent]) -> Run | None:
        """Apply events, in their order, in one write. Returns the run afterwards; None if there is no such run.

        Raises:
            StateForbids: one of them is a command that the state refuses; nothing was changed.
            Contended: others wrote each time.
        """
        with about(run=run_id):
            for _ in range(TRIES):
                stored = self._store.load(run_id)
                if stored is None:
                    self._forget_all(run_id, events)
                    return None
                self._compare(stored.run, events)
                names = ", ".join(type(event).__name__ for event in events)
                with self._tracing.span("decide", stored.run.trace, run=run_id, events=names):
                    run = self._decide(stored, events)
                if run is not None:
                    return run
            raise Contended(run_id)

    def recover(self) -> int:
        """Carry out what drainers that died have left; returns how many runs that were."""
        token, done = self._new_token(), 0
        for run_id in self._store.abandoned(self._clock()):
            stored = self._store.take_over(run_id, token, self._clock())
            if stored is not None:
                with about(run=run_id):
                    log.info("Carrying out %d effects that were left over", len(stored.outbox))
                    self._drain(stored, token)
                done += 1
        return done

    def _decide(self, stored: Stored, events: Sequence[RunEvent]) -> Run | None:
        """The run after the events; None if somebody else wrote meanwhile."""
        decision = _fold(stored.run, events, self._clock())
        if decision.run == stored.run and not decision.effects:
            return stored.run
        token = self._new_token()
        saved = self._store.save(stored, decision, token, self._clock())
        if saved is None:
            return None
        _log_change(stored.run, saved.run)
        return self._after(saved, decision, token)

    def _after(self, saved: Stored, decision: Decision, token: str) -> Run:
        run = self._drain(saved, token) if saved.outbox and saved.drainer == token else saved.run
        for signal in decision.signals:
            self._effects.signal(saved.run, signal)
        return run

    def _drain(self, stored: Stored, token: str) -> Run:
        """Carry out the outbox in order. On an error what is left waits for the next drainer."""
        remaining: Stored | None = stored
        while remaining is not None:
            stored = remaining
            try:
                for _, effect in stored.outbox:
                    self._effects.carry_out(stored.run, effect)
            except OrchestratorError as error:
                log.warning("An effect has to wait: %s", error)
                return stored.run
            remaining = self._store.drained(stored, token)
        return stored.run

    def _compare(self, run: Run, events: Sequence[RunEvent]) -> None:
        """Note which of the events are of attempts that the database did not know of."""
        for event in events:
            if isinstance(event, StepEvent) and further(run, event.board, event.instance, event.attempt) is not None:
                self._note(Difference.FURTHER, event)

    def _forget_all(self, run_id: str, events: Sequence[RunEvent]) -> None:
        for event in events:
            if isinstance(event, StepEvent) and not event.final:
                self._note(Difference.UNKNOWN_RUN, event)
                self._effects.instruct(run_id, Instruct(event.board, event.instance, event.attempt, "forget"))

    def _note(self, difference: Difference, event: StepEvent) -> None:
        attempt = BoardsAttempt(event.board, event.run, event.instance, event.attempt)
        self._differences.attempt(difference, attempt, self._clock())


def _log_change(before: Run, after: Run) -> None:
    """A line when the run is in another state, but for the moment between two steps."""
    step = after.step
    code = step.reason.code if step.reason else ""
    if before.state is not after.state and code != "sent":
        why = f" ({code})" if code else ""
        board = None if after.board is None else after.board.id
        with about(step=step.instance, attempt=step.attempt, board=board):
            log.info("Went from %s to %s%s", before.state.value, after.state.value, why)


def _fold(run: Run, events: Sequence[RunEvent], now: datetime) -> Decision:
    total = Decision(run)
    for event in events:
        step = decide(total.run, event, now)
        total = replace(step, effects=total.effects + step.effects, signals=total.signals + step.signals)
    return total
