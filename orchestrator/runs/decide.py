"""`decide(run, event, now)`: what an event makes of a run. Pure: no I/O, no clock, no randomness.

The rules are those of the live API contract, sections 5, 7 and 8; what follows from the end of a step is decided in
`course`, what becomes of attempts that were cut short in `recovery`. Whatever cannot change the run (an event of an old
attempt, a sequence already seen, a command without effect, a timer that is not due) gives back the same run, perhaps
with an effect that tells a board to forget.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from orchestrator.errors import StateForbids
from orchestrator.runs import catching_up, course, recovery
from orchestrator.runs.catching_up import Further
from orchestrator.runs.decision import (
    Decision,
    Dispatch,
    Instruct,
    LinkWorkflow,
    ReleaseSlot,
)
from orchestrator.runs.recovery import Then
from orchestrator.runs.sightings import AnswerOverdue, AttemptListed, AttemptMissing, BoardBack, BoardLeft, BoardLost
from orchestrator.runs.turn import Turn
from orchestrator.runs.vocabulary import (
    NO_SLOT,
    InstanceRenamed,
    PauseWanted,
    PropertiesChanged,
    ResumeWanted,
    Run,
    RunEvent,
    RunState,
    SlotGranted,
    StepReason,
    StillWaiting,
    StopWanted,
    TimerDue,
    Wanted,
)
from workties import messages

#: Names that a step had before and is still known by.
MOST_FORMER = 16
#: How often a board that is heard may leave an attempt unanswered before it counts as lost: perhaps taking it is what
#: kills the board's agent each time.
MOST_UNANSWERED = 6


def begin(run: Run, renewed: Collection[str], now: datetime, waits_for: StepReason = NO_SLOT) -> Decision:
    """The first decision about a new run.

    Args:
        run: with every step `initial`, and one of them that does not only clean up.
        renewed: ids of the instances that another run left in a final state; each is announced as `initial` again.
        now: the moment, UTC.
        waits_for: what it says until it gets a slot.
    """
    turn = Turn(run, now)
    turn.change_run(current=course.first_step(run) or 0)
    turn.effect(LinkWorkflow())
    for step in run.steps:
        if step.instance in renewed:
            turn.announce(step)
    turn.queue("wait", waits_for)
    return turn.decision()


def decide(run: Run, event: RunEvent, now: datetime) -> Decision:
    """What `event` makes of `run` at `now` (UTC).

    Raises:
        StateForbids: a command that the present state refuses. Nothing else raises it.
    """
    turn = Turn(run, now)
    _RULES[type(event)](turn, event)
    return turn.decision()


# --- commands


def _resume(turn: Turn, event: ResumeWanted) -> None:
    if event.only_paused and turn.run.state not in {RunState.PAUSING, RunState.PAUSED}:
        raise not_paused(turn.run.state.value)
    if turn.run.state is RunState.STOPPING:
        raise StateForbids("Workflow instance is running: its stop is not confirmed yet. Try again when it is stopped")
    if turn.run.state is RunState.PAUSING:
        turn.want(Wanted.RUN)
    elif turn.run.state is RunState.PAUSED:
        turn.change_run(wanted=Wanted.RUN, ticket=event.ticket)
        turn.change_step(progress=None)
        turn.queue("resume", event.waits_for)


def _pause(turn: Turn, _event: PauseWanted) -> None:
    if turn.run.state is RunState.STOPPING:
        raise StateForbids("Workflow instance is running: it is being stopped and cannot be paused")
    if turn.run.state not in {RunState.WAITING, RunState.RUNNING}:
        return
    if turn.step.active:
        turn.want(Wanted.PAUSE)
        turn.instruct("pause", "")
    else:
        turn.pause()


def _stop(turn: Turn, event: StopWanted) -> None:
    if turn.run.state.final or turn.run.state is RunState.STOPPING:
        return
    turn.change_step(reason=StepReason("stopped", event.reason))
    if turn.step.active:
        turn.want(Wanted.STOP)
        turn.instruct("stop", event.reason)
    else:
        turn.end("stop")


def _properties(turn: Turn, event: PropertiesChanged) -> None:
    for index, step in enumerate(turn.run.steps):
        if step.instance == event.instance and not step.active and not turn.run.state.final:
            turn.change_step(index, properties=_newest(step.properties, event.properties))


def _newest(kept: tuple[messages.Property, ...], told: tuple[messages.Property, ...]) -> tuple[messages.Property, ...]:
    """Properties with their newest values. An upgraded instance has others; a run keeps those that it began with."""
    newest = {found.id: found for found in told}
    return tuple(newest.get(found.id, found) for found in kept) or told


def _renamed(turn: Turn, event: InstanceRenamed) -> None:
    for index, step in enumerate(turn.run.steps):
        if step.instance == event.instance and not turn.run.state.final:
            # References to its output, written before, must go on to mean it.
            former = (*step.former, step.label)[-MOST_FORMER:]
            turn.change_step(index, former=former, name=event.name, desc=event.desc)


def not_paused(state: str) -> StateForbids:
    """The refusal to resume a run in a state in which nothing is paused."""
    return StateForbids(f"Nothing is paused that could go on: the run is {state}. Use run instead", code=9)


# --- time


def _timer(turn: Turn, _event: TimerDue) -> None:
    run, step = turn.run, turn.step
    if run.due is None or run.due > turn.now:
        return
    if run.deadline is None or run.deadline > turn.now:
        turn.change_step(retry_at=None)
        turn.queue(None)
    elif step.active:
        turn.change_step(reason=course.deadline_reason(run))
        turn.want(Wanted.FAIL)
        turn.instruct("stop", "The run's deadline has passed")
    else:
        course.overrun(turn)


# --- slots and boards


def _granted(turn: Turn, event: SlotGranted) -> None:
    if turn.run.board == event.board:
        return
    if not turn.run.queued:
        turn.effect(ReleaseSlot(event.board.id))
        return
    turn.change_run(board=event.board, queued=False, waiting_since=None)
    course.dispatch(turn)


def _still_waiting(turn: Turn, event: StillWaiting) -> None:
    if turn.run.queued and turn.step.reason != event.reason:
        turn.change_step(reason=event.reason)


def _overdue(turn: Turn, event: AnswerOverdue) -> None:
    board, step = turn.run.board, turn.step
    if board is None or not step.active:
        return
    if step.accepted is None and turn.run.wanted is Wanted.RUN:
        unanswered = step.unanswered + event.heard
        if unanswered >= MOST_UNANSWERED:
            why = f"Board '{board.name}' is there, and did not answer the step, which was sent to it {unanswered} times"
            recovery.lost(turn, StepReason("board-lost", why), Then.ANYWHERE)
            return
        turn.change_step(dispatched=turn.now, unanswered=unanswered)
        turn.effect(Dispatch(board.id, step.instance, step.attempt))
    elif turn.run.wanted is not Wanted.RUN:
        turn.instruct("pause" if turn.run.wanted is Wanted.PAUSE else "stop", "asked again")


# --- what a board says about an attempt


def _from_board(rule: Callable[[Turn, Any], None]) -> Callable[[Turn, Any], None]:
    """Let `rule` see only events of the current attempt that are new; tell the board to forget older attempts."""

    def fenced(turn: Turn, event: messages.StepEvent) -> None:
        further = catching_up.further(turn.run, event.board, event.instance, event.attempt)
        if further is Further.STEP:
            return
        if further is Further.ATTEMPT:
            catching_up.take_over(turn, event.attempt)
        step = next((s for s in turn.run.steps if s.instance == event.instance), None)
        board = turn.run.board.id if turn.run.board is not None else None
        current = step is turn.step and step.active and step.attempt == event.attempt and event.board == board
        if current and event.seq > turn.step.seq:
            turn.change_step(seq=event.seq)
            rule(turn, event)
        elif not current and not (event.final and step is not None and step.attempt == event.attempt):
            turn.effect(Instruct(event.board, event.instance, event.attempt, "forget"))

    return fenced


def _accepted(turn: Turn, _event: messages.Accepted) -> None:
    turn.change_step(accepted=turn.now)


def _state(turn: Turn, event: messages.StateReported) -> None:
    turn.begun()
    if event.checkpoint is not None:
        turn.checkpoint(event.checkpoint)
    if event.checkpoint is not None or event.state != "running":  # else the agent only says that it has begun
        turn.change_step(workty_state=event.state)
        turn.tell_state(event.state, checkpoint=event.checkpoint is not None)


def _progress(turn: Turn, event: messages.Progress) -> None:
    turn.begun()
    turn.change_step(progress=max(event.progress, turn.step.progress or 0.0))
    turn.signal(event.message)


def _log(_turn: Turn, _event: messages.Log) -> None:
    """Lines of output change nothing in a run."""


def _completed(turn: Turn, event: messages.Completed) -> None:
    turn.begun()
    course.completed(turn, event.output)


def _failed(turn: Turn, event: messages.Failed) -> None:
    reason = StepReason(event.reason.code, event.reason.message, event.return_code, event.last_output)
    course.failed(turn, reason)


def _refused(turn: Turn, event: messages.Refused) -> None:
    reason = StepReason(event.reason.code, f"Board '{turn.board_name}' refused the step: {event.reason.message}")
    if event.reason.code in {"bad-package", "bad-message"}:
        course.failed(turn, reason)
    elif event.reason.code == "old-attempt" and turn.step.attempt < catching_up.MOST_FURTHER:
        recovery.outdated(turn, reason)
    else:
        recovery.lost(turn, reason, Then.ANYWHERE)


_RULES: dict[type, Callable[[Turn, Any], None]] = {
    ResumeWanted: _resume,
    PauseWanted: _pause,
    StopWanted: _stop,
    PropertiesChanged: _properties,
    InstanceRenamed: _renamed,
    SlotGranted: _granted,
    TimerDue: _timer,
    StillWaiting: _still_waiting,
    BoardLost: recovery.board_lost,
    BoardLeft: recovery.board_left,
    BoardBack: recovery.board_back,
    AttemptMissing: recovery.missing,
    AttemptListed: catching_up.listed,
    AnswerOverdue: _overdue,
    messages.Accepted: _from_board(_accepted),
    messages.Refused: _from_board(_refused),
    messages.StateReported: _from_board(_state),
    messages.Progress: _from_board(_progress),
    messages.Log: _from_board(_log),
    messages.Completed: _from_board(_completed),
    messages.Failed: _from_board(_failed),
    messages.Interrupted: _from_board(recovery.interrupted),
}
