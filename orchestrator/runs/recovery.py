"""What becomes of a step whose attempt was cut short: on which board it goes on, from where, or why it fails.

How a step goes on is up to its workty's manifest (`workties.manifest.Recovery`). Pure, as `decide`.
"""

from __future__ import annotations

from enum import Enum, auto

from orchestrator.runs.sightings import AttemptMissing, BoardBack, BoardLeft, BoardLost
from orchestrator.runs.turn import Turn
from orchestrator.runs.vocabulary import NoteLeaving, Run, Step, StepReason, StepState, Wanted
from workties import messages

#: The loss of a board or a restart under a step that makes a run fail (live API contract, section 5: the third).
MOST_LOSSES = 3


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
        turn.dispatch()


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
        waits = turn.step.started is not None and turn.step.recovery.offline_grace > 0
        _cut_short(turn, reason, Then.WHEN_BACK if waits else Then.ANYWHERE)
    elif event.reason.code != "paused" or turn.run.wanted is Wanted.STOP:
        lost(turn, reason, Then.HERE)
    elif turn.run.wanted is Wanted.PAUSE:
        turn.pause()
    else:  # the pause was withdrawn after the board had been told
        turn.change_step(dispatched=None, accepted=None, asked=None)
        turn.move("pause", reason=None)
        turn.move("resume", reason=None)
        turn.dispatch()


def lost(turn: Turn, reason: StepReason, then: Then) -> None:
    """The current attempt is gone and counts as a loss."""
    turn.change_run(losses=turn.run.losses + 1)
    if turn.run.losses >= MOST_LOSSES and turn.run.wanted is Wanted.RUN:
        why = f"{MOST_LOSSES} attempts in this run were lost with their boards. Last: {reason.message}"
        turn.fail(StepReason("board-lost", why))
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
    elif begun and not _goes_on(turn.step) and turn.step.recovery.on_interrupt == "fail":
        turn.fail(StepReason("interrupted", f"{reason.message}. {_why_not_again(turn.step)}"))
    else:
        how = _how(turn.step, then, begun=begun)
        _try_again(turn, StepReason(reason.code, f"{reason.message}. {how}"), then, begun=begun)


def _try_again(turn: Turn, reason: StepReason, then: Then, *, begun: bool) -> None:
    if then is Then.ANYWHERE:
        turn.give_back_slot()
    if begun and not _goes_on(turn.step):
        turn.change_step(checkpoint=None, checkpointed=None, workty_state=None)
    turn.change_step(attempt=turn.step.attempt + 1, seq=0, board=None)
    if turn.step.state is StepState.RUNNING:
        turn.move("lose", reason=reason, progress=None)
    else:
        turn.change_step(reason=reason)
    if turn.run.wanted is Wanted.PAUSE:
        turn.pause()
    elif then is Then.HERE:
        turn.dispatch()
    elif then is Then.ANYWHERE:
        turn.queue(None)


def _keeps_board(step: Step, silent: float) -> bool:
    """Whether a step that has begun rather waits for its board. One that has not loses nothing elsewhere."""
    return (step.started is not None or step.accepted is not None) and silent < step.recovery.offline_grace


def _goes_on(step: Step) -> bool:
    """Whether there is a checkpoint from which the next attempt can go on."""
    return step.recovery.resumable and step.checkpoint is not None


def _how(step: Step, then: Then, *, begun: bool) -> str:
    if not begun:
        return "The step, which had not begun, is sent again"
    how = "The step goes on from its last checkpoint" if _goes_on(step) else "The step starts again"
    grace = f" when the board is back, or elsewhere after {step.recovery.offline_grace:g} s"
    return how + (grace if then is Then.WHEN_BACK else "")


def _why_not_again(step: Step) -> str:
    left = "It left no checkpoint" if step.recovery.resumable else "Its manifest says resumable = false"
    return f'{left}, and its manifest says on_interrupt = "fail": so it is not started again'
