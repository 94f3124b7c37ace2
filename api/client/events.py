"""What a followed run tells, and how it is read from live messages (live API contract, section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.client.models import Step, step_from

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepChanged:
    """A step, or its run, is in another state.

    Attributes:
        run, workflow: their ids.
        seq: counts the changes of the run from 1; for a snapshot that of the last change it knows, None if unknown.
        run_state: the state of the run right after the change.
        step: the step right after the change.
        snapshot: tells what is, not what changed: changes before it may have been missed.
    """

    workflow: str
    run: str
    seq: int | None
    run_state: str
    step: Step
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt is, 0 to 1. `step` is the instance's id; `seq` that of the run's last change.

    `workty_state` is the state of its own that the program has just entered, or in which it has just made a
    `checkpoint`; None where only the progress is new. Unlike progress, no such state is left out while the connection
    lives.
    """

    run: str
    seq: int | None
    step: str
    attempt: int
    progress: float
    message: str
    workty_state: str | None = None
    checkpoint: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a step wrote. `at` is ISO 8601 text, `stream` e.g. `stdout`; either may be empty."""

    at: str
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class LogLines:
    """Lines that an attempt wrote. `seq` counts these messages in a run from 1, None if unknown.

    `step` is the instance's id; `dropped` counts lines that were left out before these.
    """

    run: str
    seq: int | None
    step: str
    step_name: str
    attempt: int
    lines: tuple[LogLine, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection was lost (`live` false: what comes is late) or is back, with what was missed already told."""

    live: bool


Event = StepChanged | Progress | LogLines | Connection


def change_from(payload: Payload) -> StepChanged | None:
    """What `sv.workflow.changed` tells of a run; None for what is no change of state of a step."""
    workflow = payload.get("workflow")
    if not isinstance(workflow, Mapping) or "worktiesInstances" in workflow:
        return None
    run, step = workflow.get("run"), workflow.get("worktyInstance")
    if not isinstance(run, Mapping) or not isinstance(step, Mapping) or not isinstance(run.get("seq"), int):
        return None
    return StepChanged(
        str(workflow.get("id", "")), str(run.get("id", "")), run["seq"], str(run.get("state", "")), step_from(step)
    )


def progress_from(payload: Payload) -> Progress | None:
    """What `sv.workflow.progress` tells."""
    run, step = payload.get("run"), payload.get("worktyInstance")
    if not isinstance(run, Mapping) or not isinstance(step, Mapping):
        return None
    return Progress(
        run=str(run.get("id", "")),
        seq=run.get("seq"),
        step=str(step.get("id", "")),
        attempt=int(step.get("attempt") or 0),
        progress=float(step.get("progress") or 0),
        message=str(step.get("message") or ""),
        workty_state=None if step.get("worktyState") is None else str(step["worktyState"]),
        checkpoint=bool(step.get("checkpoint")),
    )


def log_from(payload: Payload) -> LogLines | None:
    """What `sv.workflow.log` tells."""
    run, step = payload.get("run"), payload.get("worktyInstance")
    if not isinstance(run, Mapping) or not isinstance(step, Mapping):
        return None
    return log_entry_from(str(run.get("id", "")), payload, str(step.get("id", "")), int(step.get("attempt") or 0))


def log_entry_from(run: str, entry: Payload, step: str = "", attempt: int = 0) -> LogLines:
    """Lines from a live message or from an entry of `GET /runs/:id/log`, where lines may be plain texts."""
    seq = next((entry[name] for name in ("logSeq", "seq") if isinstance(entry.get(name), int)), None)
    names = ("instance", "instanceId", "worktyInstanceId", "_id")
    return LogLines(
        run=run,
        seq=seq,
        step=step or next((str(entry[name]) for name in names if isinstance(entry.get(name), str)), ""),
        step_name=next((str(entry[name]) for name in ("step", "name") if isinstance(entry.get(name), str)), ""),
        attempt=attempt or int(entry.get("attempt") or 0),
        lines=tuple(_line(line) for line in entry.get("lines") or ()),
        dropped=int(entry.get("dropped") or 0),
    )


def _line(line: object) -> LogLine:
    if not isinstance(line, Mapping):
        return LogLine("", "", str(line))
    return LogLine(str(line.get("at") or ""), str(line.get("stream") or ""), str(line.get("text") or ""))
