"""What clients missed of a run: its last changes of state, in order. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from bson import ObjectId

from orchestrator.live import StepChange
from orchestrator.runs.documents import announced_from
from orchestrator.runs.effects import step_change
from orchestrator.runs.store import RunStore


@dataclass(frozen=True, slots=True)
class Replay:
    """What came after a change that a client knows.

    Attributes:
        seq: number of the run's last change.
        changes: those that the client missed; None if some of them are not kept any more, or it knows none.
    """

    seq: int
    changes: tuple[StepChange, ...] | None


class Replays:
    """Reads changes of runs again."""

    def __init__(self, store: RunStore) -> None:
        self._store = store

    def after(self, run_id: str, since: int | None) -> Replay | None:
        """What came after the change `since` of a run; None if there is no such run."""
        found = self._store.told(ObjectId(run_id)) if ObjectId.is_valid(run_id) else None
        if found is None:
            return None
        run, history = found.run, found.history
        oldest = history[0]["seq"] if history else run.seq + 1
        if since is None or not oldest - 1 <= since <= run.seq:
            return Replay(run.seq, None)
        missed = [announced_from(entry, run) for entry in history if entry["seq"] > since]
        return Replay(run.seq, tuple(step_change(run, announced) for announced in missed))
