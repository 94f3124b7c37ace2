"""What workflows need of the run engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bson import ObjectId

from orchestrator.runs.vocabulary import Run


class Runs(Protocol):
    """Starts, pauses and stops runs, and knows the states of their instances."""

    def start(self, workflow_id: ObjectId) -> None:
        """Run, or go on with a paused run. Raises `WorkflowEmpty`, `StateForbids`, `NotFound`."""

    def resume(self, workflow_id: ObjectId) -> None:
        """Go on with a paused run, or withdraw a pause. Raises `StateForbids` (code 9) where nothing is paused."""

    def pause(self, workflow_id: ObjectId) -> None:
        """Pause at the next checkpoint; no effect where nothing runs. Raises `StateForbids` while stopping."""

    def stop(self, workflow_id: ObjectId, reason: str) -> None:
        """Stop; no effect where nothing runs."""

    def states(self, run_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Mapping[str, str]]:
        """By run, the names of the states of its instances by their ids. One query."""

    def of(self, run_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Run]:
        """These runs by their ids. One query."""

    def properties_changed(
        self, workflow_id: ObjectId, instance_id: ObjectId, properties: Sequence[Mapping[str, Any]]
    ) -> None:
        """Take over all properties `{"id", "name", "value"}` of an instance that was not sent to a board yet."""

    def renamed(self, workflow_id: ObjectId, name: str, desc: str) -> None:
        """Let live messages about the workflow's runs carry its new name."""

    def workflow_gone(self, workflow_id: ObjectId) -> None:
        """Let the runs of a workflow that is being removed go in time, the latest one too."""

    def instance_renamed(self, workflow_id: ObjectId, instance_id: ObjectId, name: str, desc: str) -> None:
        """Let live messages about an instance in a run that has not ended carry its new name and description."""

    def stop_needing(self, workty_id: ObjectId, reason: str) -> None:
        """Stop every run that has still to run an instance of the workty."""

    def awaits(self, workflow_id: ObjectId, instance_id: ObjectId) -> bool:
        """Whether the instance is part of a run that has not ended, and has not ended itself."""
