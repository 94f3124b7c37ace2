"""Puts what is heard of one run in order: none twice, and none before one that is missing. No I/O.

Changes and log messages are counted separately (live API contract, section 6), each from 1 without gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from api.client.events import Event, LogLines, Progress, StepChanged
from api.client.models import FINAL, Step

Counted = TypeVar("Counted", StepChanged, LogLines)

#: Messages that may be held back; those beyond are dropped, which leaves a gap for the next replay to fill.
HELD_LIMIT = 1000


class Series(Generic[Counted]):
    """Messages with numbers.

    Attributes:
        seq: number of the last one that was passed on; None if unknown, then any may be the next.
    """

    def __init__(self) -> None:
        self.seq: int | None = 0
        self._held: dict[int, Counted] = {}
        self._dropped = False

    def hold(self, message: Counted) -> None:
        """Keep a message until its turn, unless it was passed on already."""
        if message.seq is None or (self.seq is not None and message.seq <= self.seq):
            return
        if len(self._held) < HELD_LIMIT or message.seq - 1 == self.seq:
            self._held.setdefault(message.seq, message)
        else:
            self._dropped = True

    def next_ones(self, *, begin: bool = True) -> list[Counted]:
        """Those whose turn it is, in order; with `begin` any may be the first where no number is known."""
        if self.seq is None and self._held and begin:
            self.seq = min(self._held) - 1
        found = []
        while self.seq is not None and self.seq + 1 in self._held:
            self.seq += 1
            found.append(self._held.pop(self.seq))
        return found

    @property
    def gap(self) -> bool:
        """Whether one is missing: a later one is held back, or there was no room for it."""
        return bool(self._held) or self._dropped

    def ask_again(self) -> None:
        """What there was no room for is about to come again."""
        self._dropped = False

    def rest(self) -> list[Counted]:
        """All that are held, in order: what is missing between them cannot be had."""
        found = [self._held.pop(number) for number in sorted(self._held)]
        self._dropped = False
        self.seq = found[-1].seq if found else self.seq
        return found

    def newest(self) -> int | None:
        """The highest number that was heard."""
        return max(self._held, default=self.seq)

    def forget_until(self, seq: int | None) -> None:
        """Whatever has a number up to `seq` is known otherwise. None: nothing is known of numbers."""
        self.seq = seq
        self._held = {number: message for number, message in self._held.items() if seq is None or number > seq}


class Merger:
    """Decides what of a run is passed on, and when.

    Args:
        run, workflow: their ids.
        names: of the steps, by the ids of their instances.
        logs: whether log messages are wanted.

    Attributes:
        holding: a replay is awaited, until `go_on`; only what is next by its number is passed on meanwhile.
        state: of the run, as it was passed on last; "" before that.
    """

    def __init__(self, run: str, workflow: str, names: Mapping[str, str], *, logs: bool) -> None:
        self.run = run
        self.workflow = workflow
        self.changes: Series[StepChanged] = Series()
        self.logs: Series[LogLines] = Series()
        self.holding = True
        self.state = ""
        self._wants_logs = logs
        self._names = dict(names)
        self._steps: dict[str, Step] = {}
        self._exact = True
        self._early: list[Progress] = []

    @property
    def ended(self) -> bool:
        """Whether the end of the run was passed on."""
        return self.state in FINAL

    @property
    def gap(self) -> bool:
        """Whether something is missing that a replay could bring."""
        return not self.holding and (self.changes.gap or self.logs.gap)

    def hear(self, event: Event) -> list[Event]:
        """Take a message in; what may be passed on now."""
        if isinstance(event, StepChanged):
            self.changes.hold(event)
        elif isinstance(event, LogLines) and self._wants_logs:
            self.logs.hold(event)
        elif isinstance(event, LogLines):
            self.logs.seq = max(self.logs.seq or 0, event.seq or 0)
        elif isinstance(event, Progress):
            return self._beside(event)
        return self._due()

    def _beside(self, event: Progress) -> list[Event]:
        """Progress is not replayed, and makes sense only beside the change that it belongs to.

        A state of the program's own waits for that change; progress is left out.
        """
        if not self.ended and event.seq == self.changes.seq and (event.workty_state is not None or not self.holding):
            return [event]
        early = event.workty_state is not None and (event.seq or 0) > (self.changes.seq or 0)
        if early and len(self._early) < HELD_LIMIT:
            self._early.append(event)
        return []

    def await_replay(self) -> None:
        """Hold back what is not next by its number."""
        self.holding = True
        self.changes.ask_again()
        self.logs.ask_again()

    def snapshot(self, seq: int | None, run_state: str, steps: Sequence[Step], *, exact: bool = True) -> list[Event]:
        """Take in the present state; the steps that it tells something new of.

        Args:
            seq: number of the last change in it, None if unknown.
            exact: it holds no later change than `seq`.
        """
        if seq is not None and self.changes.seq is not None and seq < self.changes.seq:
            return []
        self.changes.forget_until(seq)
        self._exact = exact
        news = [step for step in steps if self._steps.get(step.id) != step]
        if not news and run_state != self.state:
            news = [step for step in steps if step.state != "initial"][-1:]
        self._steps |= {step.id: step for step in news}
        self.state = run_state
        return [StepChanged(self.workflow, self.run, seq, run_state, step, snapshot=True) for step in news]

    def go_on(self) -> list[Event]:
        """Hold nothing back any more; what may be passed on now."""
        self.holding = False
        return self._due()

    def go_on_without(self) -> list[Event]:
        """Hold nothing back, also not what comes after a gap: what is missing cannot be had."""
        self.holding = False
        return [*self._named(self.logs.rest()), *self._news(self.changes.rest())]

    def lines(self) -> list[Event]:
        """Log messages that are known, whatever is held back else and whatever is missing between them."""
        return self._named(self.logs.rest())

    def _due(self) -> list[Event]:
        begin = not self.holding
        return [*self._named(self.logs.next_ones(begin=begin)), *self._news(self.changes.next_ones(begin=begin))]

    def _news(self, changes: Iterable[StepChanged]) -> list[Event]:
        news: list[Event] = []
        for change in changes:
            known = self._steps.get(change.step.id)
            told = known is not None and (known.state, known.attempt) == (change.step.state, change.step.attempt)
            # The snapshot may have told it already.
            if self._exact or not told or change.run_state != self.state:
                news.append(change)
            self.state = change.run_state
            self._steps[change.step.id] = change.step
            news += [event for event in self._early if event.seq == change.seq]
        self._early = [event for event in self._early if (event.seq or 0) > (self.changes.seq or 0)]
        return news

    def _named(self, entries: Iterable[LogLines]) -> list[Event]:
        return [
            entry if entry.step_name else replace(entry, step_name=self._names.get(entry.step, "")) for entry in entries
        ]
