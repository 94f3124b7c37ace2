"""Says what happens to runs in the words of the live API contract, sections 4 and 6, to the owner's namespace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from orchestrator.live import EntityChange, LogWritten, ProgressMade, StepChange

#: Sends an event with a payload (plain JSON) to every socket of a namespace.
Emit = Callable[[str, Mapping[str, Any], str], None]


class Announcer:
    """The audience of the core that speaks to live clients (see `orchestrator.live.Audience`)."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def step_changed(self, change: StepChange) -> None:
        """Emit `sv.workflow.changed`."""
        self._emit("sv.workflow.changed", changed(change), _namespace(change.account))

    def progressed(self, progress: ProgressMade) -> None:
        """Emit `sv.workflow.progress`."""
        self._emit("sv.workflow.progress", progressed(progress), _namespace(progress.account))

    def logged(self, written: LogWritten) -> None:
        """Emit `sv.workflow.log`."""
        self._emit("sv.workflow.log", logged(written), _namespace(written.account))

    def entity_changed(self, change: EntityChange) -> None:
        """Not told yet."""


def changed(change: StepChange) -> dict[str, Any]:
    """The payload about a change of state (contract, sections 4 and 6)."""
    step = change.step
    reason = step["reason"]
    workflow: dict[str, Any] = {
        "id": change.workflow,
        "name": change.name,
        "desc": change.desc,
        "run": {
            "id": change.run,
            "state": change.run_state,
            "seq": change.seq,
            "reason": None if change.completed else reason,
            "started": _text(change.started),
            "finished": _text(change.finished),
        },
        "worktyInstance": {
            "id": step["instance"],
            "worktyId": step["workty"],
            "name": step["name"],
            "desc": step["desc"],
            "state": step["state"],
            "propertiesIds": step["properties"],
            "attempt": step["attempt"],
            "progress": step["progress"],
            "reason": reason,
            "device": step["board"],
        },
    }
    if change.completed:
        workflow["workflowCompleted"] = True
    return {"err": None, "workflow": workflow}


def progressed(progress: ProgressMade) -> dict[str, Any]:
    """The payload about progress (contract, section 6)."""
    return {
        "workflow": {"id": progress.workflow},
        "run": {"id": progress.run, "seq": progress.seq},
        "worktyInstance": {
            "id": progress.instance,
            "state": progress.state,
            "attempt": progress.attempt,
            "progress": progress.progress,
            "message": progress.message,
        },
    }


def logged(written: LogWritten) -> dict[str, Any]:
    """The payload about lines of output (contract, section 6)."""
    return {
        "workflow": {"id": written.workflow},
        "run": {"id": written.run},
        "worktyInstance": {"id": written.instance, "attempt": written.attempt},
        "logSeq": written.seq,
        "lines": [dict(line) for line in written.lines],
    }


def _namespace(account_id: str) -> str:
    return f"/{account_id}_workflows"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
