"""What a board knows of a run beyond the database: the run catches up with it. Pure, as `decide`.

An attempt is stored before it is sent, so no board is further than the database, unless this is a backup that was
restored. Then whoever has the slot by the database's word is believed as to where the run is.
"""

from __future__ import annotations

from enum import Enum, auto

from orchestrator.runs.sightings import AttemptListed
from orchestrator.runs.turn import Turn
from orchestrator.runs.vocabulary import Run, StepReason, StepState

#: So many attempts may be missing in the database. Who claims more is not believed.
MOST_FURTHER = 1000


class Further(Enum):
    """In which way a board is further than the run."""

    ATTEMPT = auto()  # it has a later attempt of the current step
    STEP = auto()  # it has a later step, whose turn comes when the board has said how the steps before it ended


def further(run: Run, board: str, instance: str, attempt: int) -> Further | None:
    """Whether an attempt that a board speaks of is further than the run, which has its slot there."""
    if run.board is None or run.board.id != board or run.state.final:
        return None
    # Also steps before it in the list: one that cleans up may follow the last one.
    if any(step.instance == instance for step in run.steps if step is not run.step and not step.state.final):
        return Further.STEP
    sent = run.step.attempt if run.step.active else run.step.next_attempt - 1
    ahead = run.step.instance == instance and sent < attempt <= sent + MOST_FURTHER
    return Further.ATTEMPT if ahead else None


def take_over(turn: Turn, attempt: int) -> None:
    """Make a later attempt, which the board has, the current one."""
    why = StepReason("restored", f"Board '{turn.board_name}' has attempt {attempt}, of which the database did not know")
    turn.change_step(
        attempt=attempt,
        seq=0,
        board=turn.run.board,
        dispatched=turn.now,
        accepted=turn.now,
        asked=None,
        unanswered=0,
        retry_at=None,
        reason=why,
    )
    if turn.step.state is StepState.RUNNING:
        turn.move("lose", progress=None)


def listed(turn: Turn, event: AttemptListed) -> None:
    """Heartbeats list an attempt that is further than the run; its events may have been told before."""
    if further(turn.run, event.board, event.instance, event.attempt) is Further.ATTEMPT:
        take_over(turn, event.attempt)
    board, step = turn.run.board, turn.step
    here = board is not None and board.id == event.board and step.active
    if here and event.begun and (step.instance, step.attempt) == (event.instance, event.attempt):
        turn.begun()
