"""What has to be changed so that a workflow becomes what a definition says. Decides only; `carrying_out` does it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from api.client.definition import Definition, StepDefinition
from api.client.errors import BadDefinition
from api.client.models import Instance, Property, Version, Workflow, Workty
from api.client.policies import to_rest

#: Names the version that a workty has now.
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class WantedStep:
    """A step of a definition with the workty that it names; `values` has one for each of the workty's properties.

    `version` is the one that it asks for, "" if it asks for none; `policy` is as REST has it.
    """

    workty: Workty
    name: str
    desc: str
    values: Mapping[str, Any]
    given: frozenset[str]
    version: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """An instance that stays for a step, and what of it changes: fields, and values by the ids of its properties.

    With another version among the fields it gets other properties, so its values are found out only then.
    """

    step: WantedStep
    instance: Instance
    fields: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes.

    Attributes:
        fields: name, desc or deadline of the workflow.
        steps: in the wanted order, each an instance that stays or a step that is new.
        removed: instances that go.
        reordered: whether those that stay change their order.
    """

    fields: Mapping[str, Any]
    steps: tuple[Kept | WantedStep, ...]
    removed: tuple[Instance, ...]
    reordered: bool

    @property
    def empty(self) -> bool:
        """Whether the workflow is as it shall be."""
        changed = any(isinstance(step, WantedStep) or step.fields or step.values for step in self.steps)
        return not (self.fields or self.removed or self.reordered or changed)


def wanted_steps(
    definition: Definition,
    workties: Sequence[Workty],
    account: str = "",
    versions: Callable[[Workty], Sequence[Version]] = lambda workty: (),
) -> tuple[WantedStep, ...]:
    """The steps with their worktys. Raises `BadDefinition` for what does not exist or means several.

    Args:
        workties: those that the account sees, with their properties.
        account: whose own worktys are meant where a name means several.
        versions: those of a workty, newest first; asked for steps of another version than their workty has now.
    """
    problems: list[str] = []
    found = []
    for number, step in enumerate(definition.steps, start=1):
        place = f"step {number} ({step.name or step.workty})"
        workty = find_workty(step.workty, workties, account)
        if not isinstance(workty, str) and step.version not in ("", LATEST, workty.version):
            workty = _of_version(workty, step.version, versions(workty))
        if isinstance(workty, str):
            problems.append(f"{place}: {workty}")
            continue
        names = [entry.name for entry in workty.properties]
        unknown = [name for name in step.properties if name not in names]
        known = f"It has {', '.join(names)}" if names else "It has none"
        problems += [f"{place}: workty '{workty.name}' has no property '{name}'. {known}" for name in unknown]
        found.append(_wanted(step, workty))
    if problems:
        raise BadDefinition(definition.place, problems)
    return tuple(found)


def plan(definition: Definition, steps: Sequence[WantedStep], workflow: Workflow) -> Plan:
    """What turns `workflow` into `definition`. An instance stays where workty and name agree, or workty and place."""
    left = dict(enumerate(workflow.instances))
    matches: dict[int, Instance] = {}
    for pick in (_same_place, _same_name, _renamed):
        for index, step in enumerate(steps):
            place = pick(index, step, left) if index not in matches else None
            if place is not None:
                matches[index] = left.pop(place)
    planned = tuple(_kept(step, matches[index]) if index in matches else step for index, step in enumerate(steps))
    stay = [step.instance.id for step in planned if isinstance(step, Kept)]
    fields = {
        "name": (workflow.name, definition.name),
        "desc": (workflow.desc, definition.desc),
        "deadline": (workflow.deadline, definition.deadline),
    }
    return Plan(
        fields={key: new for key, (old, new) in fields.items() if old != new},
        steps=planned,
        removed=tuple(left.values()),
        reordered=stay != [entry.id for entry in workflow.instances if entry.id in stay],
    )


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; unlike `==` it knows 1 from true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def changed_values(step: WantedStep, properties: Sequence[Property]) -> dict[str, Any]:
    """The values that differ from those of an instance, by the ids of its properties."""
    return {
        entry.id: step.values[entry.name]
        for entry in properties
        if entry.name in step.values and not same(entry.value, step.values[entry.name])
    }


def find_workty(wanted: str, workties: Sequence[Workty], account: str) -> Workty | str:
    """The one workty that a name or id means, or what is wrong with it."""
    found = [entry for entry in workties if wanted in {entry.id, entry.name}]
    own = [entry for entry in found if entry.account == account and not entry.template]
    if len(found) > 1 and len(own) == 1:
        found = own
    if len(found) == 1:
        return found[0]
    if found:
        return f"several worktys have the name '{wanted}'. Use an id: {', '.join(entry.id for entry in found)}"
    names = ", ".join(sorted({entry.name for entry in workties})) or "none"
    return f"there is no workty '{wanted}'. There are {names}"


def _of_version(workty: Workty, wanted: str, versions: Sequence[Version]) -> Workty | str:
    """The workty as one of its versions is, or what is wrong: properties of its own are added to those declared."""
    known = {entry.version: {p.name: p.default for p in entry.properties} for entry in versions}
    if wanted not in known:
        there = ", ".join(known) or "none"
        return f"workty '{workty.name}' has no version '{wanted}'. There are {there}"
    declared, now = known[wanted], known.get(workty.version, {})
    own = {entry.name: entry.value for entry in workty.properties if entry.name not in now}
    properties = tuple(Property("", name, value) for name, value in {**own, **declared}.items())
    return replace(workty, properties=properties, version=wanted)


def _wanted(step: StepDefinition, workty: Workty) -> WantedStep:
    defaults = {entry.name: entry.value for entry in workty.properties}
    version = workty.version if step.version else ""
    values = {**defaults, **step.properties}
    policy = to_rest(step.policy)
    return WantedStep(workty, step.name, step.desc, values, frozenset(step.properties), version, policy)


def _fits(step: WantedStep, instance: Instance) -> bool:
    """Whether an instance can become the step: only with another version it gets other properties."""
    if instance.workty != step.workty.id:
        return False
    return _upgrades(step, instance) or step.given <= {entry.name for entry in instance.properties}


def _upgrades(step: WantedStep, instance: Instance) -> bool:
    return step.version not in ("", instance.version)


def _same_place(index: int, step: WantedStep, left: Mapping[int, Instance]) -> int | None:
    found = left.get(index)
    return index if found is not None and found.name == step.name and _fits(step, found) else None


def _same_name(_: int, step: WantedStep, left: Mapping[int, Instance]) -> int | None:
    return next((place for place, entry in left.items() if entry.name == step.name and _fits(step, entry)), None)


def _renamed(index: int, step: WantedStep, left: Mapping[int, Instance]) -> int | None:
    found = left.get(index)
    return index if found is not None and _fits(step, found) else None


def _kept(step: WantedStep, instance: Instance) -> Kept:
    wanted = {
        "name": (instance.name, step.name),
        "desc": (instance.desc, step.desc),
        # Not by their texts: the server tells all seconds as fractions.
        "policy": (to_rest(instance.policy), step.policy),
    }
    fields: dict[str, Any] = {key: new for key, (old, new) in wanted.items() if old != new}
    if _upgrades(step, instance):
        return Kept(step, instance, {**fields, "version": step.version}, {})
    if instance.version not in ("", step.workty.version):
        # The workty's defaults are those of another version than this instance has.
        step = replace(step, values={name: step.values[name] for name in step.given})
    return Kept(step, instance, fields, changed_values(step, instance.properties))
