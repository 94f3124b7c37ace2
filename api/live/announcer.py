"""The audience of the core that speaks to live clients (see `orchestrator.live.Audience`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from api.live import payloads
from orchestrator.live import EntityChange, LogWritten, ProgressMade, StepChange

#: Sends an event with a payload (plain JSON) to every socket of a namespace.
Emit = Callable[[str, Mapping[str, Any], str], None]


class Announcer:
    """Says what happens in the words of the contract (sections 4 and 6), to the owner's namespace.

    Args:
        emit: sends to a namespace.
        entity_changed: takes changed entities, see `api.live.news.News`.
    """

    def __init__(self, emit: Emit, entity_changed: Callable[[EntityChange], None]) -> None:
        self._emit = emit
        self._entity_changed = entity_changed

    def step_changed(self, change: StepChange) -> None:
        """Emit `sv.workflow.changed`."""
        self._emit("sv.workflow.changed", payloads.changed(change), _namespace(change.account))

    def progressed(self, progress: ProgressMade) -> None:
        """Emit `sv.workflow.progress`."""
        self._emit("sv.workflow.progress", payloads.progressed(progress), _namespace(progress.account))

    def logged(self, written: LogWritten) -> None:
        """Emit `sv.workflow.log`, which only followers of the run get."""
        self._emit("sv.workflow.log", payloads.logged(written), _namespace(written.account))

    def entity_changed(self, change: EntityChange) -> None:
        """Pass it on."""
        self._entity_changed(change)


def _namespace(account_id: str) -> str:
    return f"/{account_id}_workflows"
