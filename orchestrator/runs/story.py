"""The story of a run: its history as sentences in the order of time. Pure.

What the run does now, and what would help, is told by `outlook`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from orchestrator.durations import spelled
from orchestrator.runs.store import Told
from orchestrator.runs.vocabulary import Run

#: What a step waits for shorter than this is not worth a sentence; nor is how long that was.
BRIEF = timedelta(seconds=1)
#: Of the last lines of a failed attempt at most so many are told.
LAST_LINES = 5

_WAITS = frozenset({"no-slot", "no-board", "sent"})


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened `at` a time: to a step, or ("") to the run; `lines` are what an attempt wrote last."""

    at: datetime
    step: str
    text: str
    lines: tuple[str, ...] = ()


def missing_changes(told: Told) -> int:
    """How many of the run's first changes of state are no longer kept."""
    return int(told.history[0]["seq"]) - 1 if told.history else told.run.seq


def story(told: Told) -> list[Moment]:
    """What is kept of a run's past, in sentences."""
    names, state = step_names(told.run), _State()
    steps = len(told.run.steps)
    begun = f"Run {told.run.number} was asked for: {steps} {'step' if steps == 1 else 'steps'}"
    moments = [Moment(told.run.created, "", begun)]
    entries = _merged(told)
    for entry, after in zip_longest(entries, entries[1:]):
        text = state.text(entry, over=after is not None and _over(entry, after))
        if text:
            moments.append(Moment(entry.at, names[entry.place], text + _follows(entry, told.run), entry.lines))
    return moments


def step_names(run: Run) -> list[str]:
    """What the steps of a run are called: by their labels, with their places where a label is not enough."""
    count = Counter(step.label for step in run.steps)
    labels = enumerate((step.label for step in run.steps), start=1)
    return [label if count[label] == 1 else f"{label} (step {place})" for place, label in labels]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A change of state, or (`run_state` None) a note about a waiting step."""

    at: datetime
    place: int
    state: str
    run_state: str | None
    attempt: int | None
    board: str
    reason: Mapping[str, Any]
    workty_state: str | None

    @property
    def code(self) -> str:
        return str(self.reason.get("code", ""))

    @property
    def message(self) -> str:
        """Why it is so, with the exit code if the sentence does not name it; that of a signal says nothing more."""
        code, message = self.reason.get("returnCode"), str(self.reason.get("message", ""))
        named = code is None or code < 0 or str(code) in message
        return message if named else f"{message} (exit code {code})"

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(str(line) for line in (self.reason.get("lastOutput") or ())[-LAST_LINES:])


def _merged(told: Told) -> list[_Entry]:
    """Changes and notes in their order. Notes without a number, written beside the engine, are placed by their time."""
    first = told.history[0]["seq"] if told.history else 0
    placed = [(int(entry["seq"]), 0, entry) for entry in told.history]
    for note in told.notes:
        before = [entry["seq"] for entry in told.history if entry["at"] <= note["at"]]
        seq = note["seq"] if note["seq"] is not None else (before[-1] if before else first - 1)
        if seq >= first:
            placed.append((int(seq), 1, note))
    return [_entry(entry, told.run) for _, _, entry in sorted(placed, key=lambda found: found[:2])]


def _entry(entry: Mapping[str, Any], run: Run) -> _Entry:
    board = entry.get("board") or {}
    return _Entry(
        at=entry["at"],
        place=min(entry["step"], len(run.steps) - 1),
        state=entry.get("state", "waiting"),
        run_state=entry.get("runState"),
        attempt=entry["attempt"],
        board=str(board.get("name", "")),
        reason=entry["reason"] or {},
        workty_state=entry.get("worktyState"),
    )


def _over(entry: _Entry, after: _Entry) -> bool:
    """Whether what a step waits for is over at once."""
    follows = after.place == entry.place and after.state in {"waiting", "running"}
    return entry.code in _WAITS and follows and after.at - entry.at < BRIEF


def _follows(entry: _Entry, run: Run) -> str:
    """What follows a failure that does not end its run, as the end of a sentence."""
    if entry.state != "failed" or entry.run_state == "failed":
        return ""
    follows = {"skip": "; skipped, as its policy says", "cleanup": "; the steps that clean up follow"}
    return follows.get(run.steps[entry.place].policy.on_failure, "")


@dataclass
class _State:
    """What was told so far: the states of the run and its steps, since when, and their attempts."""

    run_state: str = ""
    states: dict[int, str] = field(default_factory=dict)
    since: dict[int, datetime] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)

    def text(self, entry: _Entry, *, over: bool) -> str:
        """The sentence about an entry; "" for none. `over`: whether what a step waits for is not worth telling."""
        before = self.states.get(entry.place, "initial")
        lasted = entry.at - self.since.get(entry.place, entry.at)
        text = self._told(entry, before, lasted, over=over)
        if entry.state != before:
            self.since[entry.place] = entry.at
        self.states[entry.place] = entry.state
        self.run_state = entry.run_state or self.run_state
        if entry.attempt is not None:
            self.attempts[entry.place] = entry.attempt
        return text

    def _told(self, entry: _Entry, before: str, lasted: timedelta, *, over: bool) -> str:
        wanted = self.run_state
        if entry.state == before and entry.run_state is not None and entry.run_state != wanted:
            asked = {"pausing": "asked to pause at its next checkpoint", "stopping": f"asked to stop: {entry.message}"}
            if entry.run_state in asked or wanted == "pausing":
                return asked.get(entry.run_state, "the pause was withdrawn").removesuffix(": ")
        after = f" after {spelled(lasted)}" if lasted >= BRIEF else ""
        match entry.state:
            case "waiting":
                return self._waits(entry, before, after, over=over)
            case "running":
                on = f" on board '{entry.board}'" if entry.board else ""
                waited = f", having waited {spelled(lasted)}" if lasted >= BRIEF else ""
                return f"runs{on}{_attempt(entry)}{waited}"
            case "paused" | "completed":
                return f"{entry.state}{after}"
            case "failed" | "stopped":
                return f"{entry.state}{after}: {entry.message}".removesuffix(": ")
        return ""

    def _waits(self, entry: _Entry, before: str, after: str, *, over: bool) -> str:
        if before == "running":
            point = f"; it was in state '{entry.workty_state}'" if entry.workty_state else ""
            ended = self.attempts.get(entry.place, entry.attempt)
            return f"attempt {ended} ended{after}{point}: {entry.message}"
        if over:
            return "resumed" if before == "paused" else ""
        resumed = "resumed; " if before == "paused" else ""
        if entry.code == "sent" and entry.board:
            return f"{resumed}sent to board '{entry.board}'{_attempt(entry)}"
        return f"{resumed}waits: {entry.message}" if entry.code in _WAITS else f"{resumed}{entry.message}"


def _attempt(entry: _Entry) -> str:
    return f" as attempt {entry.attempt}" if entry.attempt is not None and entry.attempt > 1 else ""
