"""What becomes of a step whose attempt was cut short: on which board it goes on, from where, or why it fails.

How a step goes on is up to its workty's manifest (`workties.manifest.Recovery`). Pure, as `decide`.
"""

from __future__ import annotations

from enum import Enum, auto

from orchestrator.runs import course
from orchestrator.runs.decision import NoteLeaving
from orchestrator.runs.failing import goes_on
from orchestrator.runs.sightings import AttemptMissing, BoardBack, BoardLeft, BoardLost
from orchestrator.runs.turn import Turn
from orchestrator.runs.vocabulary import (
    Run,
    Step,
    StepReason,
    StepState,
    Wanted,
)
from workties import messages

#: The loss of a board or a restart under a step that makes a run fail (live API contract, section 5: the third).
MOST_LOSSES = 3
#: An agent that stops by itself costs nothing. But where it does so within so many seconds after it took a step, the
#: step may have stopped it, e.g. rebooted its board: so often, and the step is tried no more.
SOON, MOST_STOPS = 60.0, 10


class Then(Enum):
    """Where a step goes on whose attempt was cut short."""

    HERE = auto()  # on the same board, which is there
    WHEN_BACK = auto()  # on the same board, as soon as it is heard again
    ANYWHERE = auto()  # on whichever board has a slot


def gives_up(run: Run, silent: float | None) -> bool:
    """Whether a run gives up its board, which has been silent for so many seconds or does not come back (None)."""
    return silent is None or not _keeps_board(run.step, silent)


def board_lost(turn: Turn, event: BoardLost) -> None:
    """A board was silent for too long, or is gone."""
    board = turn.run.board
    if board is None or board.id != event.board or not gives_up(turn.run, event.silent):
        return
    reason = StepReason("board-lost", f"Board '{board.name}' was lost")
    if turn.run.awaits_board:  # the attempt before was cut short with notice
        turn.give_back_slot()
        turn.change_step(reason=reason)
        turn.queue(None)
    else:
        lost(turn, reason, Then.ANYWHERE)


def board_left(turn: Turn, event: BoardLeft) -> None:
    """The agent of a board stopped by itself; what it had begun it has reported before."""
    board = turn.run.board
    if board is not None and board.id == event.board and gives_up(turn.run, 0.0):
        _cut_short(turn, StepReason("agent-stop", f"The agent of board '{board.name}' was stopped"), Then.ANYWHERE)


def board_back(turn: Turn, event: BoardBack) -> None:
    """A board that was away is heard again: a step that waits for it goes on there."""
    board = turn.run.board
    if board is not None and board.id == event.board and turn.run.awaits_board:
        course.dispatch(turn)


def missing(turn: Turn, event: AttemptMissing) -> None:
    """A board does not list an attempt: ask what became of it, and give it up if the answer says nothing new.

    A database that was restored from a backup may have forgotten that it ended. Who is told to stop what has ended says
    again how it ended.
    """
    step = turn.step
    if not step.active or step.instance != event.instance or step.attempt != event.attempt:
        return
    if step.asked is None and turn.run.wanted is Wanted.RUN:
        turn.instruct("stop", "no heartbeat lists it")
    else:
        lost(turn, StepReason("board-lost", f"Board '{turn.board_name}' no longer knows the attempt"), Then.HERE)


def interrupted(turn: Turn, event: messages.Interrupted) -> None:
    """A board says that an attempt ended before its time."""
    if event.checkpoint is not None:
        turn.checkpoint(event.checkpoint)
    reason = StepReason(event.reason.code, f"Board '{turn.board_name}' cut it short: {event.reason.message}")
    if event.reason.code == "agent-stop":
        turn.effect(NoteLeaving(event.board))
        _agent_stopped(turn, reason)
    elif turn.run.wanted.ends and event.reason.code in {"stopped", "paused"}:
        _cut_short(turn, reason, Then.HERE)
    elif event.reason.code != "paused":
        lost(turn, reason, Then.HERE)
    elif turn.run.wanted is Wanted.PAUSE:
        turn.pause()
    else:  # the pause was withdrawn after the board had been told
        turn.change_step(dispatched=None, accepted=None, asked=None)
        turn.move("pause", reason=None)
        turn.move("resume", reason=None, progress=None)
        course.dispatch(turn)


def _agent_stopped(turn: Turn, reason: StepReason) -> None:
    step = turn.step
    soon = step.accepted is not None and (turn.now - step.accepted).total_seconds() < SOON
    turn.change_step(stops=step.stops + soon)
    if turn.step.stops >= MOST_STOPS and turn.run.wanted is Wanted.RUN:
        why = f"{MOST_STOPS} times an agent stopped soon after it took the step; perhaps the step stops it"
        course.failed(turn, StepReason("board-lost", f"{why}. Last: {reason.message}"), here=False)
    else:
        waits = step.started is not None and step.recovery.offline_grace > 0
        _cut_short(turn, reason, Then.WHEN_BACK if waits else Then.ANYWHERE)


def lost(turn: Turn, reason: StepReason, then: Then) -> None:
    """The current attempt is gone and counts as a loss."""
    turn.change_run(losses=turn.run.losses + 1)
    if turn.run.losses >= MOST_LOSSES and turn.run.wanted is Wanted.RUN:
        why = f"{MOST_LOSSES} attempts in this run were lost with their boards. Last: {reason.message}"
        course.failed(turn, StepReason("board-lost", why), here=then is Then.HERE)
        if not turn.run.state.final:  # its policy has it go on, so that as many may be lost again
            turn.change_run(losses=0)
    else:
        _cut_short(turn, reason, then)


def outdated(turn: Turn, reason: StepReason) -> None:
    """A board knows the current attempt, or later ones, as given up: the next one gets a number that is new there.

    Its numbers are further than those of a database that was restored. Doubling passes them soon. No loss: nothing ran.
    """
    turn.change_step(attempt=2 * turn.step.attempt - 1)
    _cut_short(turn, reason, Then.HERE)


def _cut_short(turn: Turn, reason: StepReason, then: Then) -> None:
    """The current attempt ended before its time: what is wanted, and the step's manifest, say what follows."""
    # An agent that restarts reports nothing else than what had begun.
    begun = turn.step.state is StepState.RUNNING or reason.code == "reboot"
    turn.change_step(dispatched=None, accepted=None, asked=None)
    if turn.run.wanted is Wanted.STOP:
        turn.end("stop")
    elif turn.run.wanted is Wanted.FAIL:
        course.overrun(turn)
    elif begun and not goes_on(turn.step) and turn.step.recovery.on_interrupt == "fail":
        why = StepReason("interrupted", f"{reason.message}. {_why_not_again(turn.step)}")
        course.failed(turn, why, here=then is Then.HERE)
    else:
        how = _how(turn.step, then, begun=begun)
        _try_again(turn, StepReason(reason.code, f"{reason.message}. {how}"), then, begun=begun)


def _try_again(turn: Turn, reason: StepReason, then: Then, *, begun: bool) -> None:
    if then is Then.ANYWHERE:
        turn.give_back_slot()
    turn.end_attempt(anew=begun and not goes_on(turn.step))
    if turn.step.state is StepState.RUNNING:
        turn.move("lose", reason=reason, progress=None)
    else:
        turn.change_step(reason=reason)
    if turn.run.wanted is Wanted.PAUSE:
        turn.pause()
    elif then is Then.HERE:
        course.dispatch(turn)
    elif then is Then.ANYWHERE:
        turn.queue(None)


def _keeps_board(step: Step, silent: float) -> bool:
    """Whether a step rather waits for its board, which has its present attempt, or had it and said that it comes back.

    One that was sent there and not accepted loses nothing elsewhere.
    """
    there = step.accepted is not None if step.active else step.started is not None
    return there and silent < step.recovery.offline_grace


def _how(step: Step, then: Then, *, begun: bool) -> str:
    if not begun:
        return "The step, which had not begun, is sent again"
    how = "The step goes on from its last checkpoint" if goes_on(step) else "The step starts again"
    grace = f" when the board is back, or elsewhere after {step.recovery.offline_grace:g} s"
    return how + (grace if then is Then.WHEN_BACK else "")


def _why_not_again(step: Step) -> str:
    left = "It left no checkpoint" if step.recovery.resumable else "Its manifest says resumable = false"
    return f'{left}, and its manifest says on_interrupt = "fail": so it is not started again'
