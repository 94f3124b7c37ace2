"""Says what is wrong after a storm: records, ledger and what clients heard must agree. Pure functions over plain data.

Each returns sentences, none if all is well. There is no verdict about time here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.ledger import KINDS, STATES, Line
from tests.chaos.records import FINAL, Asked, Change, RunRecord, StepRecord

#: What may follow each state of a step (live API contract, section 5).
LEGAL: Mapping[str, frozenset[str]] = {
    "initial": frozenset({"waiting"}),
    "waiting": frozenset({"running", "failed", "paused", "stopped"}),
    "running": frozenset({"completed", "failed", "waiting", "paused", "stopped"}),
    "paused": frozenset({"waiting", "stopped"}),
}
#: Reasons for which a next attempt has the very checkpoint that the board had. After the loss of a board it has the
#: last one that the server heard of.
EXACT = frozenset({"reboot", "agent-stop", "paused"})
#: Reasons for which a step that runs has to wait again.
EXPLAINED = frozenset({"board-lost", "reboot", "agent-stop"})
#: How often a run may lose its board before it fails.
MOST_LOSSES = 3

_KINDS = {kind.name: kind for kind in KINDS}


def every_run_ended(asked: Iterable[Asked], runs: Sequence[RunRecord]) -> Iterator[str]:
    """Each workflow that was run has one run, which ended as it may."""
    found: Counter[str] = Counter(run.workflow for run in runs)
    wanted = {each.workflow: each for each in asked}
    for workflow in wanted:
        if found[workflow] != 1:
            yield f"workflow {workflow} was run once and has {found[workflow]} runs"
    for run in runs:
        if run.workflow not in wanted:
            yield f"run {run.id} is of workflow {run.workflow}, which nobody ran"
        else:
            yield from _ended_as_it_may(run, wanted[run.workflow])


def _ended_as_it_may(run: RunRecord, asked: Asked) -> Iterator[str]:
    fragile = any(_KINDS[step.kind].fails_when_interrupted and step.state == "failed" for step in run.steps)
    lost = run.reason == "board-lost" and run.losses >= MOST_LOSSES
    if run.state not in FINAL:
        yield f"run {run.id} has not ended: {run.state}, steps {[step.state for step in run.steps]}"
    elif run.state == "stopped" and not asked.stopped:
        yield f"run {run.id} was stopped, and nobody asked for it"
    elif run.state == "failed" and not lost and not (fragile and run.reason == "interrupted"):
        yield f"run {run.id} failed for {run.reason} with {run.losses} losses"
    if run.holds_slot or run.queued or run.unsent or any(step.active for step in run.steps):
        yield f"run {run.id} is {run.state} and still holds a slot, a place in the queue, an attempt or effects"


def steps_are_completed_once(runs: Iterable[RunRecord]) -> Iterator[str]:
    """In the records every change is legal, no step completes twice, and none begins before the one before it ended."""
    for run in runs:
        yield from _legal(run)
        completed: Counter[str] = Counter(change.step for change in run.history if change.state == "completed")
        for step in run.steps:
            if completed[step.instance] != (step.state == "completed"):
                yield f"run {run.id}: step {step.token} is {step.state} and completed {completed[step.instance]} times"
        states = [step.state for step in run.steps]
        done = states.count("completed")
        if states[:done] != ["completed"] * done or any(state != "initial" for state in states[done + 1 :]):
            yield f"run {run.id}: its steps did not run one after another: {states}"
        if (run.state == "completed") != (done == len(states)):
            yield f"run {run.id} is {run.state} with steps {states}"


def _legal(run: RunRecord) -> Iterator[str]:
    states: dict[str, Change] = {}
    for change in run.history:
        before = states.get(change.step)
        state, attempt = ("initial", 0) if before is None else (before.state, before.attempt)
        if change.state != state and change.state not in LEGAL.get(state, frozenset()):
            yield f"run {run.id}, change {change.seq}: {state} -> {change.state}"
        if change.attempt < attempt:
            yield f"run {run.id}, change {change.seq}: attempt {attempt} -> {change.attempt}"
        if (state, change.state) == ("running", "waiting") and change.reason not in EXPLAINED:
            yield f"run {run.id}, change {change.seq}: its step was interrupted for {change.reason}"
        states[change.step] = change


def events_have_no_gaps(runs: Iterable[RunRecord], heard: Mapping[str, Mapping[int, Change]]) -> Iterator[str]:
    """The history counts from one without gaps, and its owner heard the same changes with the same numbers."""
    for run in runs:
        numbers = list(range(1, run.seq + 1))
        if [change.seq for change in run.history] != numbers:
            yield f"run {run.id}: the history has {[change.seq for change in run.history]}, the run is at {run.seq}"
        told = heard.get(run.id, {})
        if sorted(told) != numbers:
            yield f"run {run.id}: clients heard {sorted(told)} of {run.seq} changes"
        for change in run.history:
            if change.seq in told and told[change.seq] != change:
                yield f"run {run.id}: clients heard {told[change.seq]}, the record is {change}"


def ledger_agrees(runs: Iterable[RunRecord], ledger: Sequence[Line]) -> Iterator[str]:
    """What was really entered is what the records tell: nothing more, nothing less, nothing twice without a reason."""
    lines: defaultdict[str, list[tuple[int, Line]]] = defaultdict(list)
    for place, line in enumerate(ledger):
        lines[line.token].append((place, line))
    for run in runs:
        ended_before = -1
        for step in run.steps:
            entered = lines.pop(step.token, [])
            yield from _step_agrees(run, step, [line for _, line in entered])
            ended = [place for place, line in entered if (line.attempt, line.state) == (step.attempt, STATES[-1])]
            if entered and entered[0][0] < ended_before:
                yield f"step {step.token} began before the one before it had ended"
            ended_before = ended[-1] if ended else ended_before
    for token in lines:
        yield f"the ledger has lines of {token}, of which no run knows"


def _step_agrees(run: RunRecord, step: StepRecord, lines: Sequence[Line]) -> Iterator[str]:
    attempts: defaultdict[int, list[str]] = defaultdict(list)
    for line in lines:
        attempts[line.attempt].append(line.state)
    for attempt, states in attempts.items():
        if attempt > step.attempt:
            yield f"step {step.token} ran as attempt {attempt}, the record knows {step.attempt}"
        begin = STATES.index(states[0])
        if states != list(STATES[begin : begin + len(states)]):
            yield f"step {step.token}, attempt {attempt}, entered {states}"
    if step.state == "completed":
        if attempts[step.attempt][-1:] != [STATES[-1]] or not {line.state for line in lines} >= set(STATES):
            yield f"step {step.token} is completed by attempt {step.attempt}; entered was {dict(attempts)}"
        if (step.output or {}).get("trail") != list(STATES):
            yield f"step {step.token} is completed with output {step.output}"
    if _KINDS[step.kind].resumable:
        yield from _nothing_repeated(run, step, attempts)


def _nothing_repeated(run: RunRecord, step: StepRecord, attempts: Mapping[int, Sequence[str]]) -> Iterator[str]:
    """A state that was left is entered again only where the record of the interruption explains it."""
    for attempt, states in attempts.items():
        repeated = set(attempts.get(attempt - 1, ())[:-1]) & set(states)
        reason = _reason(run, step, attempt)
        if repeated and reason in EXACT:
            yield f"step {step.token}, attempt {attempt}, made for {reason}, entered {sorted(repeated)} again"


def _reason(run: RunRecord, step: StepRecord, attempt: int) -> str | None:
    """Why an attempt was made, as the history tells; None if it only tells that it was."""
    own = (change for change in run.history if (change.step, change.attempt) == (step.instance, attempt))
    return next((change.reason for change in own if change.state == "waiting"), None)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is still there when all is over.

    Attributes:
        leases: runs that hold slots, by board.
        messages: messages by queue.
        queues: queues beyond those that belong to boards and server.
        journals: by board, attempts that have not ended and events that were not sent.
        files: directories of steps, and temporary files.
        processes: those of steps and agents that have ended.
        refused: reasons of messages that the server could not use.
    """

    leases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    queues: Sequence[str] = ()
    journals: Mapping[str, int] = field(default_factory=dict)
    files: Sequence[str] = ()
    processes: Sequence[str] = ()
    refused: Sequence[str] = ()


def nothing_is_left(found: Leftovers) -> Iterator[str]:
    """No lease, message, queue, journal row, file or process has been left over."""
    yield from (f"board {board} still has leases of {list(runs)}" for board, runs in found.leases.items() if runs)
    yield from (f"queue {queue} still holds {count} messages" for queue, count in found.messages.items() if count)
    yield from (f"queue {queue} is nobody's" for queue in found.queues)
    yield from (
        f"the journal of {board} has {count} rows that wait" for board, count in found.journals.items() if count
    )
    yield from (f"{path} was left behind" for path in found.files)
    yield from (f"process {process} was left behind" for process in found.processes)
    yield from (f"a message was refused: {reason}" for reason in found.refused)
