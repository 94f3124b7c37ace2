"""Commands about runs, for whoever serves clients: start or go on, pause, stop, and how the instances stand.

The table of commands x states is that of the REST contract, section 4, and the live API contract, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.errors import Contended, NotFound, WorkflowEmpty
from orchestrator.runs.decide import not_paused
from orchestrator.runs.engine import TRIES, Engine
from orchestrator.runs.snapshot import Snapshots
from orchestrator.runs.store import RunStore, Stored
from orchestrator.runs.vocabulary import (
    InstanceRenamed,
    PauseWanted,
    PropertiesChanged,
    ResumeWanted,
    Run,
    RunEvent,
    RunState,
    StepReason,
    StepState,
    StopWanted,
)
from workties.messages import Property
from workties.tracing import NO_TRACING, Tracing


class RunService:
    """Commands about the runs of workflows.

    Args:
        database: where workflows are read.
        store: the runs.
        engine: applies commands.
        snapshots: reads the steps of a workflow.
        clock: the moment, UTC.
        waits_for: what a run says until it gets a slot.
        tracing: knows the trace that a new run becomes part of.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        store: RunStore,
        engine: Engine,
        snapshots: Snapshots,
        clock: Callable[[], datetime],
        *,
        waits_for: Callable[[Run], StepReason],
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._tracing = tracing
        self._workflows = database["workflows"]
        self._store = store
        self._engine = engine
        self._snapshots = snapshots
        self._waits_for = waits_for
        self._clock = clock

    def start(self, workflow_id: ObjectId) -> None:
        """Start a run, or let a paused one go on; nothing happens to one that waits or runs.

        Raises:
            NotFound: there is no such workflow.
            WorkflowEmpty: it has no instances, or none that does more than clean up.
            StateForbids: its run is being stopped.
        """
        for _ in range(TRIES):
            latest = self._store.latest(str(workflow_id))
            if latest is None or latest.run.state.final:
                if self._begin(workflow_id, latest) is not None:
                    return
            elif latest.run.state in {RunState.WAITING, RunState.RUNNING}:
                return
            else:
                # A run that ended in between is no run to go on with: the loop then begins a new one.
                run = self._engine.handle(latest.run.id, [self._resume(latest.run)])
                if run is not None and not run.state.final:
                    return
        raise Contended(str(workflow_id))

    def resume(self, workflow_id: ObjectId) -> None:
        """Let a paused run go on, or withdraw a pause. Raises `StateForbids` (code 9) where nothing is paused."""
        latest = self._store.latest(str(workflow_id))
        if latest is None:
            raise not_paused("not started")
        wanted = replace(self._resume(latest.run), only_paused=True)
        if self._engine.handle(latest.run.id, [wanted]) is None:
            raise not_paused("gone")

    def pause(self, workflow_id: ObjectId) -> None:
        """Pause the run at its next checkpoint; nothing happens where nothing runs. Raises `StateForbids`."""
        self._command(workflow_id, PauseWanted())

    def stop(self, workflow_id: ObjectId, reason: str) -> None:
        """Stop the run; nothing happens where nothing runs. `reason` says why, for people."""
        self._command(workflow_id, StopWanted(reason))

    def stop_needing(self, workty_id: ObjectId, reason: str) -> None:
        """Stop every run that has still to run an instance of a workty."""
        for run_id in self._store.active_with_workty(str(workty_id)):
            self._engine.handle(run_id, [StopWanted(reason)])

    def states(self, run_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Mapping[str, str]]:
        """Names of the states of the instances of these runs, by run id and instance id; one query."""
        return {
            run_id: {step.instance: step.state.value for step in run.steps}
            for run_id, run in self._store.steps(run_ids).items()
        }

    def of(self, run_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Run]:
        """These runs by their ids; one query."""
        return self._store.steps(run_ids)

    def awaits(self, workflow_id: ObjectId, instance_id: ObjectId) -> bool:
        """Whether the instance is part of a run that has not ended, and has not ended itself."""
        latest = self._store.latest(str(workflow_id))
        if latest is None or latest.run.state.final:
            return False
        return str(instance_id) in {step.instance for step in latest.run.steps if not step.state.final}

    def properties_changed(
        self, workflow_id: ObjectId, instance_id: ObjectId, properties: Sequence[Mapping[str, Any]]
    ) -> None:
        """Let changed properties count for an instance that is not yet with a board.

        Args:
            properties: all properties of the instance, `{"id", "name", "value"}` each.
        """
        changed = tuple(Property(str(entry["id"]), entry["name"], entry["value"]) for entry in properties)
        self._command(workflow_id, PropertiesChanged(str(instance_id), changed))

    def renamed(self, workflow_id: ObjectId, name: str, desc: str) -> None:
        """Let live messages about the runs of a workflow carry its new name."""
        self._store.rename(str(workflow_id), name, desc)

    def workflow_gone(self, workflow_id: ObjectId) -> None:
        """Let the runs of a workflow that is being removed go in time, the latest one too."""
        self._store.workflow_gone(str(workflow_id))

    def instance_renamed(self, workflow_id: ObjectId, instance_id: ObjectId, name: str, desc: str) -> None:
        """Let live messages about an instance in a run that has not ended carry its new name and description."""
        self._command(workflow_id, InstanceRenamed(str(instance_id), name, desc))

    def _command(self, workflow_id: ObjectId, event: RunEvent) -> None:
        latest = self._store.latest(str(workflow_id))
        if latest is not None and not latest.run.state.final:
            self._engine.handle(latest.run.id, [event])

    def _resume(self, run: Run) -> ResumeWanted:
        if run.state is not RunState.PAUSED:
            return ResumeWanted(run.ticket)
        return ResumeWanted(self._store.ticket(run.account), waits_for=self._waits_for(run))

    def _begin(self, workflow_id: ObjectId, before: Stored | None) -> Run | None:
        """Begin the next run; None if somebody else began it."""
        workflow = self._workflows.find_one({"_id": workflow_id})
        if workflow is None:
            raise NotFound("workflow")
        steps = self._snapshots.steps(workflow["worktiesInstancesIds"])
        if all(step.policy.cleanup for step in steps):
            raise WorkflowEmpty(workflow["name"], str(workflow_id), cleans_up=bool(steps))
        old = before.run.steps if before is not None else ()
        created, seconds = self._clock(), workflow.get("deadline")
        run = Run(
            id=str(ObjectId()),
            workflow=str(workflow_id),
            workflow_name=workflow["name"],
            workflow_desc=workflow.get("desc", ""),
            account=str(workflow["accountId"]),
            number=1 if before is None else before.run.number + 1,
            steps=steps,
            created=created,
            deadline=None if seconds is None else created + timedelta(seconds=seconds),
            ticket=self._store.ticket(str(workflow["accountId"])),
            trace=self._tracing.here(),
        )
        renewed = frozenset(step.instance for step in old if step.state is not StepState.INITIAL)
        return self._engine.start(run, renewed, self._waits_for(run))
