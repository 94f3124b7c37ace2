"""The course of a run: what follows when a step completes or fails, and how the run ends. Pure, as `decide`.

Every way in which a step fails leads to `failed`: it is tried again as its policy says; or it has failed for good, and
its policy says what becomes of the run. Steps that clean up are passed over until a step fails whose policy asks for
them; then they alone follow, each once, and the run fails for the step that asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.durations import clock_text
from orchestrator.runs import failing
from orchestrator.runs.turn import Turn
from orchestrator.runs.vocabulary import (
    Run,
    RunState,
    StepReason,
    StepState,
    Wanted,
)


def first_step(run: Run) -> int | None:
    """The index of the step that a run begins with; None if all of them only clean up."""
    return next((index for index, step in enumerate(run.steps) if not step.policy.cleanup), None)


def next_step(run: Run) -> int | None:
    """The index of the step after the current one; None if there is none."""
    if run.failed is not None:
        left = (i for i, step in enumerate(run.steps) if step.policy.cleanup and step.state is StepState.INITIAL)
    else:
        left = (i for i, step in enumerate(run.steps) if i > run.current and not step.policy.cleanup)
    return next(left, None)


def dispatch(turn: Turn) -> None:
    """Send the current step to the board whose slot the run has.

    If its properties cannot be had it fails, and the step is sent that follows then.
    """
    while (problem := turn.dispatch()) is not None:
        if not _fails_for_good(turn, problem, here=True):
            return


def completed(turn: Turn, output: Mapping[str, Any]) -> None:
    """The current step ended well."""
    if _leave(turn, "complete", here=True, output=output, progress=1.0, reason=None):
        dispatch(turn)


def failed(turn: Turn, reason: StepReason, *, here: bool = True) -> None:
    """The current step failed, and is `running` before that, whatever it was.

    Args:
        here: whether its board is there for what follows; else that needs another slot.
    """
    turn.begun()
    if not turn.run.wanted.ends and failing.tries_again(turn.step, reason):
        sends = _retry(turn, reason, here=here)
    else:
        sends = _fails_for_good(turn, reason, here=here)
    if sends:
        dispatch(turn)


def overrun(turn: Turn) -> None:
    """End the run at the current step, which is with no board: its deadline has passed."""
    reason = turn.step.reason if turn.run.wanted is Wanted.FAIL else None
    if turn.step.state is StepState.INITIAL:
        turn.move("wait")
    elif turn.step.state is StepState.PAUSED:
        turn.change_run(wanted=Wanted.RUN)
        turn.move("resume")
    _end_as_failed(turn, reason or deadline_reason(turn.run))


def deadline_reason(run: Run) -> StepReason:
    """Why the current step fails at the deadline, with what it waits for, if it does."""
    told = "" if run.deadline is None else f", {clock_text(run.deadline)}"
    waits = run.step.reason if run.step.state is StepState.WAITING else None
    last = "" if waits is None else f". At last: {waits.message}"
    return StepReason("deadline", f"The run had not ended by its deadline{told}{last}")


def _retry(turn: Turn, failure: StepReason, *, here: bool) -> bool:
    """Have the current step tried again; returns whether it is to be sent now."""
    step, moment = turn.step, failing.retry_moment(turn.run, turn.now)
    if moment is not None or not here:
        turn.give_back_slot()
    turn.end_attempt(anew=not failing.goes_on(step))
    turn.change_step(failures=step.failures + 1)
    turn.move("retry", reason=failing.retry_reason(step, failure, moment), progress=None, retry_at=moment)
    if turn.run.wanted is Wanted.PAUSE:
        turn.pause()
        return False
    if moment is None and not here:
        turn.queue(None)
    return moment is None and here


def _fails_for_good(turn: Turn, reason: StepReason, *, here: bool) -> bool:
    """Fail the current step; returns whether the run goes on with a step that is to be sent now."""
    turn.begun()
    then = turn.step.policy.on_failure
    cleans_up = then == "cleanup" and not turn.run.wanted.ends
    if turn.run.failed is None and then != "skip" and not cleans_up:
        _end_as_failed(turn, reason)
        return False
    if turn.run.failed is None and cleans_up:
        turn.change_run(failed=turn.run.current)
    return _leave(turn, "fail", here=here, reason=reason)


def _end_as_failed(turn: Turn, reason: StepReason) -> None:
    turn.begun()
    if turn.run.failed is None:
        turn.change_run(failed=turn.run.current)
    turn.end("fail", reason=reason)


def _leave(turn: Turn, trigger: str, *, here: bool, **fields: Any) -> bool:
    """End the current step by `trigger`, and bring the next one to its turn or the run to its end.

    Returns whether the next one is to be sent now.
    """
    done, following = turn.run.current, next_step(turn.run)
    turn.end_step(trigger, **fields)
    outcome = RunState.STOPPED if turn.run.wanted is Wanted.STOP else None
    if following is None:
        outcome = RunState.COMPLETED if turn.run.failed is None else RunState.FAILED
    else:
        turn.change_run(current=following)
    turn.announce(turn.run.steps[done], outcome)
    if outcome is not None or not here:
        turn.give_back_slot()
    return outcome is None and _turn_of_next(turn)


def _turn_of_next(turn: Turn) -> bool:
    """Bring the step whose turn it is to a board, a place in the queue, or the pause that was asked for."""
    if turn.run.wanted is Wanted.FAIL:
        overrun(turn)
    elif turn.run.board is None and turn.run.wanted is Wanted.RUN:
        turn.queue("wait")
    else:
        sent = StepReason("sent", f"Being sent to board '{turn.board_name}'")
        turn.move("wait", reason=None if turn.run.board is None else sent)
        if turn.run.wanted is Wanted.RUN:
            return True
        turn.pause()
    return False
