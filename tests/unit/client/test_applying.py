"""What has to be changed so that a workflow becomes what a definition says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.client import (
    BadDefinition,
    DeclaredProperty,
    Definition,
    Instance,
    Property,
    StepDefinition,
    Version,
    Workflow,
    Workty,
)
from api.client.applying import Kept, Plan, WantedStep, plan, same, wanted_steps

ME = "a" * 24


def workty(name: str, *, id_: str = "", account: str = "other", template: bool = True, **defaults: Any) -> Workty:
    properties = tuple(Property(f"{name}.{key}", key, value) for key, value in defaults.items())
    return Workty(id_ or f"id-{name}", name, "", account, template, 0, properties)


WORKTIES = (workty("wait", delay=1), workty("nothing"))


def instance(id_: str, kind: str = "nothing", name: str = "", desc: str = "", **values: Any) -> Instance:
    properties = tuple(Property(f"{id_}.{key}", key, value) for key, value in values.items())
    return Instance(id_, name, desc, f"id-{kind}", "initial", properties)


def planned(steps: list[StepDefinition], instances: list[Instance], desc: str = "") -> Plan:
    definition = Definition("nightly", tuple(steps), desc)
    present = Workflow("w", "nightly", "", ME, "", tuple(instances))
    return plan(definition, wanted_steps(definition, WORKTIES), present)


def outline(found: Plan) -> list[str]:
    """The steps of a plan: ids of instances that stay, `+name` of new ones."""
    return [s.instance.id if isinstance(s, Kept) else f"+{s.name or s.workty.name}" for s in found.steps]


def step(kind: str = "nothing", name: str = "", **values: Any) -> StepDefinition:
    return StepDefinition(kind, name, properties=values)


def test_a_workflow_that_is_as_described_is_left_alone() -> None:
    found = planned([step("wait", "a", delay=2), step()], [instance("1", "wait", "a", delay=2), instance("2")])
    assert found.empty
    assert outline(found) == ["1", "2"]


def test_a_property_that_is_not_named_goes_back_to_its_default() -> None:
    found = planned([step("wait")], [instance("1", "wait", delay=7)])
    assert [kept.values for kept in found.steps if isinstance(kept, Kept)] == [{"1.delay": 1}]
    assert not found.empty


def test_steps_that_change_places_keep_their_instances() -> None:
    found = planned([step(name="b"), step(name="a")], [instance("1", name="a"), instance("2", name="b")])
    assert outline(found) == ["2", "1"]
    assert (found.reordered, found.removed) == (True, ())


def test_a_step_in_the_middle_is_added_and_one_is_removed() -> None:
    old = [instance("1", name="a"), instance("2", "wait", name="b", delay=1)]
    found = planned([step(name="a"), step(name="new"), step(name="c")], old)
    assert outline(found) == ["1", "+new", "+c"]
    assert [entry.id for entry in found.removed] == ["2"]
    assert not found.reordered


def test_a_step_at_the_same_place_with_the_same_workty_is_renamed() -> None:
    found = planned([step(name="new")], [instance("1", name="old", desc="x")])
    assert [kept.fields for kept in found.steps if isinstance(kept, Kept)] == [{"name": "new", "desc": ""}]
    assert found.removed == ()


def test_another_workty_under_the_same_name_is_another_instance() -> None:
    found = planned([step("wait", "a")], [instance("1", "nothing", "a")])
    assert outline(found) == ["+a"]
    assert [entry.id for entry in found.removed] == ["1"]


def test_an_instance_that_lacks_a_given_property_is_made_anew() -> None:
    found = planned([step("wait", "a", delay=2)], [instance("1", "wait", "a")])
    assert outline(found) == ["+a"]


def test_the_description_of_the_workflow_is_changed() -> None:
    assert planned([step()], [instance("1")], desc="new").fields == {"desc": "new"}


@pytest.mark.parametrize(
    ("present", "wanted", "changed"),
    [
        (
            {"retries": 2, "retry_on": ["exit"], "backoff": 10.0},
            {"retries": 2, "retry_on": ("exit",), "backoff": 10},
            {},
        ),
        ({"retries": 2}, {"retry_on": ["exit"]}, {"policy": {"retryOn": ["exit"]}}),
        ({"retries": 2}, {}, {"policy": {}}),
        ({}, {"backoff_most": 5}, {"policy": {"backoffMost": 5}}),
    ],
)
def test_a_step_has_the_policy_of_the_definition_and_no_other(
    present: dict[str, Any], wanted: dict[str, Any], changed: dict[str, Any]
) -> None:
    found = planned([replace(step(), policy=wanted)], [replace(instance("1"), policy=present)])
    assert [kept.fields for kept in found.steps if isinstance(kept, Kept)] == [changed]
    assert found.empty == (not changed)


@pytest.mark.parametrize(("present", "wanted", "changed"), [(60.0, 60, {}), (60, None, {"deadline": None})])
def test_a_workflow_has_the_deadline_of_the_definition_or_none(
    present: float | None, wanted: float | None, changed: dict[str, Any]
) -> None:
    workflow = Workflow("w", "nightly", "", ME, "", (instance("1"),), deadline=present)
    definition = Definition("nightly", (step(),), deadline=wanted)
    assert plan(definition, wanted_steps(definition, WORKTIES), workflow).fields == changed


def test_equal_names_are_matched_one_to_one() -> None:
    found = planned([step(name="a")] * 3, [instance("1", name="a"), instance("2", name="a")])
    assert outline(found) == ["1", "2", "+a"]


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), ("1", 1), ([1], [True]), (None, 0)])
def test_values_of_different_types_are_different(one: object, other: object) -> None:
    assert not same(one, other)


def test_unknown_worktys_and_properties_are_told_with_what_there_is() -> None:
    steps = (step("nope", "first"), step("wait", dely=1), step("nothing", x=1))
    with pytest.raises(BadDefinition) as refused:
        wanted_steps(Definition("n", steps, place="f.yml"), WORKTIES)
    assert str(refused.value).splitlines() == [
        "f.yml: step 1 (first): there is no workty 'nope'. There are nothing, wait",
        "f.yml: step 2 (wait): workty 'wait' has no property 'dely'. It has delay",
        "f.yml: step 3 (nothing): workty 'nothing' has no property 'x'. It has none",
    ]


def test_of_several_worktys_of_a_name_the_one_own_is_meant_and_an_id_means_one() -> None:
    several = [workty("copy", id_="1"), workty("copy", id_="2", account=ME, template=False), workty("copy", id_="3")]
    definition = Definition("n", (step("copy"),))
    assert [found.workty.id for found in wanted_steps(definition, several, ME)] == ["2"]
    with pytest.raises(BadDefinition, match="several worktys have the name 'copy'"):
        wanted_steps(definition, [several[0], several[2]], ME)
    assert [found.workty.id for found in wanted_steps(Definition("n", (step("3"),)), several, ME)] == ["3"]


NAMES = st.sampled_from(["", "a", "b", "c"])
STEPS = st.lists(st.builds(lambda k, n, d: step(k, n, **({"delay": d} if k == "wait" else {})),
                           st.sampled_from(["wait", "nothing"]), NAMES, st.integers(0, 2)), max_size=6)  # fmt: skip


@given(STEPS, STEPS)
def test_whatever_the_workflow_was_its_plan_leads_to_the_definition_and_a_second_one_is_empty(
    before: list[StepDefinition], after: list[StepDefinition]
) -> None:
    old = carried_out(planned(before, []), [])
    new = carried_out(planned(after, old), old)
    assert [(entry.workty, entry.name) for entry in new] == [(f"id-{s.workty}", s.name) for s in after]
    again = planned(after, new)
    assert again.empty
    assert outline(again) == [entry.id for entry in new]


def carried_out(found: Plan, old: list[Instance]) -> list[Instance]:
    """The instances after a plan, as the server would have them."""
    fresh = iter(f"n{len(old)}.{number}" for number in range(100))

    def value_of(entry: Property, values: dict[str, Any]) -> Property:
        return Property(entry.id, entry.name, values.get(entry.id, entry.value))

    def become(planned_step: Kept | WantedStep) -> Instance:
        if isinstance(planned_step, WantedStep):
            kind = planned_step.workty.name
            return instance(next(fresh), kind, planned_step.name, planned_step.desc, **planned_step.values)
        was = planned_step.instance
        texts = {"name": was.name, "desc": was.desc, **planned_step.fields}
        properties = tuple(value_of(entry, dict(planned_step.values)) for entry in was.properties)
        return Instance(was.id, texts["name"], texts["desc"], was.workty, was.state, properties)

    return [become(planned_step) for planned_step in found.steps]


# --- versions


def declared(**defaults: Any) -> tuple[DeclaredProperty, ...]:
    return tuple(DeclaredProperty(name, "any", default, "") for name, default in defaults.items())


VERSIONS = (
    Version("2", "", 1, "", declared(delay=5, fresh=1), ()),
    Version("1", "", 1, "", declared(delay=1, old=1), ()),
)
COPIER = replace(workty("copy", delay=5, fresh=1, mine=9), version="2")


def of_version(version: str, present: str, definition: dict[str, Any], **values: Any) -> Kept:
    """The plan for one step, whose workty has the versions 1 and 2, and its instance of another version."""
    steps = (StepDefinition("copy", properties=definition, version=version),)
    wanted = wanted_steps(Definition("nightly", steps), [COPIER], ME, lambda _: VERSIONS)
    workflow = Workflow("w", "nightly", "", ME, "", (replace(instance("1", "copy", **values), version=present),))
    [found] = plan(Definition("nightly", steps), wanted, workflow).steps
    assert isinstance(found, Kept)
    return found


def test_an_instance_keeps_its_version_and_its_defaults_where_none_is_named() -> None:
    kept = of_version("", "1", {"delay": 3}, delay=2, old=4)
    assert (kept.fields, kept.values) == ({}, {"1.delay": 3})
    assert of_version("", "1", {}, delay=2, old=4).values == {}


@pytest.mark.parametrize(("named", "fields"), [("2", {"version": "2"}), ("latest", {"version": "2"}), ("1", {})])
def test_an_instance_gets_the_version_that_is_named(named: str, fields: dict[str, str]) -> None:
    assert of_version(named, "1", {}, delay=1, old=1).fields == fields


def test_a_step_may_name_properties_of_the_version_that_it_gets() -> None:
    kept = of_version("1", "2", {"old": 7}, delay=5, fresh=1, mine=9)
    assert kept.fields == {"version": "1"}
    assert kept.step.values == {"delay": 1, "old": 7, "mine": 9}


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (StepDefinition("copy", version="3"), "workty 'copy' has no version '3'. There are 2, 1"),
        (
            StepDefinition("copy", version="1", properties={"fresh": 1}),
            "workty 'copy' has no property 'fresh'. It has mine, delay, old",
        ),
    ],
)
def test_what_a_version_has_not_is_told(step: StepDefinition, problem: str) -> None:
    with pytest.raises(BadDefinition) as told:
        wanted_steps(Definition("nightly", (step,)), [COPIER], ME, lambda _: VERSIONS)
    assert told.value.problems == (f"step 1 (copy): {problem}",)
