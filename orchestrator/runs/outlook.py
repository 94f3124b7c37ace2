"""What a run does or waits for now, and what would help. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.boards.store import Board
from orchestrator.durations import clock_text, spelled
from orchestrator.runs.story import step_names
from orchestrator.runs.vocabulary import (
    Run,
    RunState,
    Step,
    StepReason,
    StepState,
)

#: What helps after a failure, by the code of its reason; for others, what the step wrote.
_REMEDIES = {
    "timeout": "Raise its limit (timeout in its policy, or limits in the manifest), or give it less to do",
    "memory": "Raise the workty's limit, or give it less to do",
    "output": "Raise the workty's limit, or let it write less",
    "property": "Correct the property that the message names",
    "package": "Push a package of the workty that can be run",
    "bad-package": "Push a package of the workty that can be run",
    "board-lost": "Look at power and network of its boards",
    "deadline": "Give the workflow a later deadline, or the fleet more boards that fit",
}


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is so now, and what would help; "" where nothing needs to."""

    now: str
    help: str = ""


def outlook(
    run: Run, board: Board | None, slot: tuple[StepReason, int] | None, now: datetime, *, can_run_again: bool = True
) -> Outlook:
    """What a run does or waits for.

    Args:
        board: the one that has the run, as it is known now.
        slot: for a run that waits for a slot: why it has none, and how many runs come before it in the queue.
        now: the moment, UTC.
        can_run_again: whether its workflow is still there.
    """
    found = _ended(run, can_run_again=can_run_again) if run.state.final else _under_way(run, board, slot, now)
    if run.state.final or run.deadline is None:
        return found
    return Outlook(f"{found.now}. The run fails if it has not ended by {clock_text(run.deadline)}", found.help)


def _ended(run: Run, *, can_run_again: bool) -> Outlook:
    length = "" if run.finished is None else f" {spelled(run.finished - run.created)} after it was asked for"
    again = f"Run it again: workty run {run.workflow}" if can_run_again else "Its workflow was removed"
    if run.state is RunState.FAILED:
        failed = [place for place, step in enumerate(run.steps) if step.state is StepState.FAILED]
        place = run.current if run.current in failed or not failed else failed[-1]
        reason = run.steps[place].reason or StepReason("", "it says nothing more")
        remedy = _REMEDIES.get(reason.code, f"See what it wrote: workty logs {run.id}")
        return Outlook(f"failed{length}, at step '{step_names(run)[place]}': {reason.message}", f"{remedy}. {again}")
    if run.state is RunState.STOPPED:
        why = f": {run.step.reason.message}" if run.step.reason else ""
        return Outlook(f"stopped{length}{why}", again)
    return Outlook(f"completed{length}")


def _under_way(run: Run, board: Board | None, slot: tuple[StepReason, int] | None, now: datetime) -> Outlook:
    name = f"step '{step_names(run)[run.current]}'"
    if run.state is RunState.PAUSED:
        return Outlook(f"paused at {name}; nothing happens until it is resumed", _resume(run))
    if run.state in {RunState.PAUSING, RunState.STOPPING}:
        return _commanded(run, board, now)
    if run.queued and slot is not None:
        return _queued(run, name, slot, now)
    if run.step.state is StepState.RUNNING:
        return Outlook(_running(run, name, board, now), _helps_away(board))
    return _waiting(run, name, board, now)


def _waiting(run: Run, name: str, board: Board | None, now: datetime) -> Outlook:
    """Of a run that waits for something else than a slot."""
    step = run.step
    if step.retry_at is not None:
        wait = spelled(step.retry_at - now)
        return Outlook(
            f"{name} is tried again in {wait}: {_message(step)}",
            f"Fix what made it fail, or: workty stop {run.workflow}",
        )
    if run.awaits_board:
        return _awaiting(run, name, board, now)
    if step.dispatched is not None:
        return Outlook(_sent(run, name, board, now), _helps_away(board))
    return Outlook(f"{name} waits: {_message(step)}")


def _queued(run: Run, name: str, slot: tuple[StepReason, int], now: datetime) -> Outlook:
    reason, ahead = slot
    waited = "" if run.waiting_since is None else f" for {spelled(now - run.waiting_since)}"
    told = f"{name} waits{waited} for a slot. {reason.message}"
    if reason.code == "no-board":
        return Outlook(told, "An admin can enable, connect or label a board, or add one: workty board add NAME")
    queue = "no run comes before it" if not ahead else f"{ahead} {'run is' if ahead == 1 else 'runs are'} ahead of it"
    return Outlook(f"{told}; {queue} in the queue", "It gets a slot in its turn. More boards that fit would be faster")


def _commanded(run: Run, board: Board | None, now: datetime) -> Outlook:
    pausing = run.state is RunState.PAUSING
    asked = "pause at its next checkpoint" if pausing else "stop"
    since = "" if run.step.asked is None else f" {spelled(now - run.step.asked)} ago"
    told = f"{_named(run)} was asked{since} to {asked}, and has not confirmed it yet{_heard(board, now)}"
    hint = f"To go on instead: workty resume {run.workflow}" if pausing else ""
    return Outlook(told, hint or "If the board stays away, the stop counts without it")


def _running(run: Run, name: str, board: Board | None, now: datetime) -> str:
    step = run.step
    since = "" if step.accepted is None else f" for {spelled(now - step.accepted)}"
    told = [f"{name} runs on {_named(run)}{since} (attempt {step.attempt})"]
    told += [f"{step.progress:.0%} done"] if step.progress else []
    told += [f"in state '{step.workty_state}'"] if step.workty_state else []
    told += [f"last checkpoint {spelled(now - step.checkpointed)} ago"] if step.checkpointed else []
    return ", ".join(told) + (_heard(board, now) if board is None or not board.connected else "")


def _awaiting(run: Run, name: str, board: Board | None, now: datetime) -> Outlook:
    told = f"{name} waits for {_named(run)} to come back{_heard(board, now)}"
    grace = run.step.recovery.offline_grace
    if grace and board is not None and board.last_seen is not None:
        until = board.last_seen + timedelta(seconds=grace)
        told += f". From {clock_text(until)} on, in {spelled(until - now)}, it goes on elsewhere"
    return Outlook(told, f"Look at the board's power and network, or: workty stop {run.workflow}")


def _sent(run: Run, name: str, board: Board | None, now: datetime) -> str:
    step = run.step
    if step.accepted is not None:
        accepted = spelled(now - step.accepted)
        return f"{name} was accepted by {_named(run)} {accepted} ago and has not begun{_heard(board, now)}"
    since = "" if step.dispatched is None else f" {spelled(now - step.dispatched)} ago"
    return f"{name} was sent to {_named(run)}{since}, which has not answered yet{_heard(board, now)}"


def _named(run: Run) -> str:
    return "its board" if run.board is None else f"board '{run.board.name}'"


def _heard(board: Board | None, now: datetime) -> str:
    """Whether the board is there, as the end of a sentence."""
    if board is None:
        return "; that board is no longer part of the fleet"
    if board.last_seen is None:
        return "; it was never heard"
    when = f"heard {spelled(now - board.last_seen)} ago"
    return f"; the board was {when}" if board.connected else f"; the board is disconnected, last {when}"


def _helps_away(board: Board | None) -> str:
    there = board is not None and board.connected
    return "" if there else "Look at the board's power and network; if it stays away, the step goes on elsewhere"


def _resume(run: Run) -> str:
    return f"Go on: workty resume {run.workflow}. End it: workty stop {run.workflow}"


def _message(step: Step) -> str:
    return step.reason.message if step.reason else "nobody says for what"
