"""Values of properties that stand for what earlier steps have put out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.runs.references import assigned_properties
from orchestrator.runs.vocabulary import Run, Step
from tests.unit.orchestrator.runs.world import World
from workties.errors import BadProperties
from workties.manifest import DeclaredProperty
from workties.messages import Program, Property

OUTPUT = {
    "path": "/photos", "count": 3, "done": True, "none": None, "text": "${{ steps.copy.output.path }}",
    "files": [{"name": "a.jpg"}, {"name": "b.jpg"}], "tree": {"left": {"leaf": 1.5}}, "large": "x" * 40_000,
}  # fmt: skip


def step(name: str, *, workty: str = "w", output: Mapping[str, Any] | None = None, **fields: Any) -> Step:
    program = Program(id="1", name=workty, version="1", language="python", entry="main.py")
    return Step(instance=name or workty, name=name, desc="", program=program, package=None, output=output, **fields)


def run_at(current: Step, *others: Step) -> Run:
    """A run whose current step comes after `copy`, a step without a name, and two of the same name."""
    twins = [step("twin", output={"n": number}) for number in (1, 2)]
    steps = (step("copy", output=OUTPUT), step("", workty="with-delay", output={"waited": 2}), *twins, current, *others)
    return Run(
        id="r", workflow="w", workflow_name="", workflow_desc="", account="a", number=1, steps=steps,
        created=datetime(2026, 1, 1, tzinfo=UTC), current=4,
    )  # fmt: skip


def resolved(value: Any, **fields: Any) -> Any:
    current = step("last", properties=(Property("p", "value", value),), **fields)
    return assigned_properties(run_at(current, step("later", output={"n": 1})))[0].value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${{ steps.copy.output.count }}", 3),
        ("${{steps.copy.output.done}}", True),
        ("${{\tsteps . copy . output . tree . left \n}}", {"leaf": 1.5}),
        ("${{ steps.copy.output.none }}", None),
        ("${{ steps.copy.output.files.1.name }}", "b.jpg"),
        ("${{ steps.with-delay.output.waited }}", 2),
        ("in ${{ steps.copy.output.path }}: ${{ steps.copy.output.tree.left }}", 'in /photos: {"leaf": 1.5}'),
        ("${{ steps.copy.output.count }}${{ steps.copy.output.count }}", "33"),
        (" ${{ steps.copy.output.count }}", " 3"),
        (["a", {"b": "${{ steps.copy.output.count }}"}], ["a", {"b": 3}]),
        ({"${{ key }}": 1}, {"${{ key }}": 1}),
        ("${{ steps.copy.output.text }}", "${{ steps.copy.output.path }}"),
        ("$${{ steps.copy.output.count }} $5 ${x} }}", "${{ steps.copy.output.count }} $5 ${x} }}"),
        (7, 7),
        ("", ""),
    ],
)
def test_a_reference_becomes_what_an_earlier_step_put_out(written: Any, meant: Any) -> None:
    assert resolved(written) == meant


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("${{ steps.nobody.output.n }}", "no earlier step 'nobody'; there is 'copy', 'with-delay', 'twin', 'twin'"),
        ("${{ steps.later.output.n }}", "step 'later' does not come before this one"),
        ("${{ steps.last.output.n }}", "step 'last' does not come before this one"),
        ("${{ steps.twin.output.n }}", "2 earlier steps are called 'twin'"),
        ("${{ steps.copy.output.pth }}", "the output of step 'copy' has no 'pth'; it has 'path', 'count'"),
        ("${{ steps.copy.output.files.2 }}", "no entry '2'; it is a list of 2, from 0"),
        ("${{ steps.copy.output.files.-1 }}", "no entry '-1'"),
        ("${{ steps.copy.output.count.x }}", "is no object and no list"),
        ("${{ steps.copy.count }}", "is no reference. Write ${{ steps.NAME.output.KEY }}"),
        ("${{ steps.copy.output. }}", "is no reference"),
        ("${{ }}", "is no reference"),
        ("text ${{ steps.copy.output.count", "'${{' has no '}}' after it"),
        ("${{ steps." + "x" * 2000 + ".output.n }}", "is no reference"),
        (["${{ steps.copy.output.large }}"] * 2, "more than 65536 bytes"),
    ],
)
def test_a_reference_that_means_nothing_is_named_with_what_there_is(written: Any, told: str) -> None:
    with pytest.raises(BadProperties) as refused:
        resolved(written)
    assert refused.value.problems[0].startswith("Property 'value': ")
    assert told in refused.value.problems[0]
    assert len(refused.value.problems[0]) < 600


def test_values_get_the_declared_types_and_defaults_after_references_were_replaced() -> None:
    declared = (DeclaredProperty("value", "integer"), DeclaredProperty("other", "number", 1.5))
    current = step("last", properties=(Property("p", "value", "${{ steps.copy.output.count }}0"),), declared=declared)
    assert [(each.name, each.value) for each in assigned_properties(run_at(current))] == [("value", 30), ("other", 1.5)]
    with pytest.raises(BadProperties, match="Property 'value': expected a whole number"):
        resolved("${{ steps.copy.output.path }}", declared=declared)


def test_all_properties_together_have_a_bound() -> None:
    current = step("last", properties=tuple(Property("p", f"v{n}", "x" * 60_000) for n in range(20)))
    with pytest.raises(BadProperties, match="All properties together"):
        assigned_properties(run_at(current))


# --- in a run


def referring(world: World, value: Any, **package: Any) -> Any:
    """A workflow whose first step is called `first`, and whose second has a property of this value."""
    workflow = world.workflow(2, **package)
    world.core.runs.start(workflow)
    first, second = (ObjectId(found.instance) for found in world.run(workflow).steps)
    world.core.runs.instance_renamed(workflow, first, "first", "")
    world.core.runs.properties_changed(workflow, second, [{"id": "p", "name": "n", "value": value}])
    return workflow


def test_each_attempt_is_sent_what_its_references_mean_and_the_run_keeps_what_was_written(world: World) -> None:
    board = world.board(slots=1)
    written = "${{ steps.first.output.answer }}"
    workflow = referring(world, written)
    world.drive(board, "state", "completed")
    assert board.assignments[0].properties == (Property("p", "n", 42),)
    first = ObjectId(world.run(workflow).steps[0].instance)
    world.core.runs.instance_renamed(workflow, first, "renamed meanwhile", "")
    world.take(board)
    world.reboot(board)
    world.deliver_all()
    assert board.assignments[-1].attempt == 2
    assert board.assignments[-1].properties == (Property("p", "n", 42),)
    assert world.run(workflow).steps[1].properties == (Property("p", "n", written),)


def test_a_step_whose_reference_means_nothing_fails_before_it_is_sent(world: World) -> None:
    board = world.board(slots=1)
    workflow = referring(world, "${{ steps.first.output.question }}")
    world.drive(board, "state", "completed")
    assert board.assignments == []
    run = world.run(workflow)
    assert [change.step["state"] for change in world.changes[-3:]] == ["waiting", "running", "failed"]
    assert run.step.reason is not None
    assert run.step.reason.code == "property"
    assert "has no 'question'; it has 'answer'" in run.step.reason.message
    assert world.core.boards.all()[0].leases == ()


def test_a_value_that_does_not_fit_its_declared_type_fails_the_step_before_it_is_sent(world: World) -> None:
    board = world.board(slots=1)
    declared = [{"name": "n", "type": "boolean", "default": "true", "description": ""}]
    workflow = referring(world, "${{ steps.first.output.answer }}", properties=declared)
    assert board.assignments[0].properties == (Property("n", "n", True),)
    world.drive(board, "state", "completed")
    assert board.assignments == []
    assert world.states(workflow) == ["completed", "failed"]
