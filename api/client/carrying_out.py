"""Carries out over REST what `applying` planned. Cut off in the middle, applying again does what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from api.client.applying import Kept, Plan, WantedStep, changed_values
from api.client.definition import Definition
from api.client.errors import ClientError, Refused
from api.client.models import FINAL, Instance, Run, Workflow, properties_from
from api.client.rest import Rest

#: Number of the error "workflow instance is running" (REST contract, section 1).
RUNNING = 8


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a definition did: the workflow's id and name, and whether it was made or changed."""

    workflow: str
    name: str
    created: bool
    changed: bool


def create(rest: Rest, definition: Definition, steps: tuple[WantedStep, ...]) -> Applied:
    """Make the workflow. Raises `NotReachable`, or `Refused`: then nothing of it stays."""
    deadline = {} if definition.deadline is None else {"deadline": definition.deadline}
    record = rest.post("/workflows", {"name": definition.name, "desc": definition.desc, **deadline})
    try:
        for step in steps:
            _add(rest, record["_id"], step)
    except Refused:
        with suppress(ClientError):  # the first error says more
            rest.delete(f"/workflows/{record['_id']}")
        raise
    return Applied(record["_id"], definition.name, created=True, changed=True)


def update(rest: Rest, workflow: Workflow, plan: Plan, active: Run | None) -> Applied:
    """Change the workflow. Raises `NotReachable`, `Refused`; nothing was changed if a step of a run has to go.

    Args:
        active: the run of the workflow that has not ended.
    """
    path = f"/workflows/{workflow.id}"
    _check(plan.removed, active)
    for instance in plan.removed:
        _remove(rest, path, instance)
    if plan.fields:
        rest.put(path, plan.fields)
    if plan.reordered:
        rest.put(path, {"worktiesInstancesIds": [step.instance.id for step in plan.steps if isinstance(step, Kept)]})
    for index, step in enumerate(plan.steps):
        if isinstance(step, WantedStep):
            _add(rest, workflow.id, step, index)
            continue
        values = step.values
        if step.fields:
            with _about(step.step):
                record = rest.put(f"{path}/worktiesInstances/{step.instance.id}", step.fields)
            values = changed_values(step.step, properties_from(record)) if "version" in step.fields else values
        _set_values(rest, workflow.id, step.instance.id, values)
    name = plan.fields.get("name", workflow.name)
    return Applied(workflow.id, name, created=False, changed=not plan.empty)


def _check(removed: tuple[Instance, ...], active: Run | None) -> None:
    """Raise `Refused` if one that has to go is still to be run (live API contract, section 5)."""
    waiting = {step.id for step in active.steps if step.state not in FINAL} if active else ()
    for instance in removed:
        if instance.id in waiting:
            raise _still_needed(instance)


def _remove(rest: Rest, path: str, instance: Instance) -> None:
    try:
        rest.delete(f"{path}/worktiesInstances/{instance.id}")
    except Refused as error:
        if error.code == RUNNING:
            raise _still_needed(instance) from error
        if error.status != 404:  # gone already, which is what was wanted
            raise


def _still_needed(instance: Instance) -> Refused:
    name = instance.name or instance.id
    message = f"Step '{name}' cannot be removed: the run under way still needs it. Wait for its end, or stop it first"
    return Refused(409, RUNNING, message)


def _add(rest: Rest, workflow: str, step: WantedStep, index: int | None = None) -> None:
    body: dict[str, Any] = {"worktyId": step.workty.id, "name": step.name, "desc": step.desc}
    body |= {"version": step.version} if step.version else {}
    body |= {"policy": step.policy} if step.policy else {}
    body |= {} if index is None else {"position_index": index}
    with _about(step):
        record = rest.post(f"/workflows/{workflow}/worktiesInstances", body)
    _set_values(rest, workflow, record["_id"], changed_values(step, properties_from(record)))


@contextmanager
def _about(step: WantedStep) -> Iterator[None]:
    """What the server refuses inside of `with` is told with the step's name."""
    try:
        yield
    except Refused as error:
        message = f"Step '{step.name or step.workty.name}': {error.message}"
        raise Refused(error.status, error.code, message, error.details) from error


def _set_values(rest: Rest, workflow: str, instance: str, values: Mapping[str, Any]) -> None:
    for property_id, value in values.items():
        rest.put(f"/workflows/{workflow}/worktiesInstances/{instance}/properties/{property_id}", {"value": value})
