"""Which runs are past, so that they go in time, and which one stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bson import ObjectId

from orchestrator.runs.retention import mark_older_runs
from orchestrator.workflows.removal import Removal
from tests.unit.orchestrator.runs.world import Crashed, World, finish


def past(world: World, workflow: ObjectId) -> list[bool]:
    """Whether each run of a workflow is past, in their order."""
    found = world.database["runs"].find({"workflowId": workflow}, sort=[("number", 1)])
    return [run.get("past", False) for run in found]


def run_times(world: World, workflow: ObjectId, times: int) -> None:
    board = next(iter(world.boards.values()), None) or world.board()
    for _ in range(times):
        world.core.runs.start(workflow)
        finish(world, board, workflow)


def test_the_latest_run_of_a_workflow_stays_and_those_before_it_are_past(world: World) -> None:
    workflow, other = world.workflow(1), world.workflow(1)
    run_times(world, workflow, 3)
    run_times(world, other, 1)
    assert past(world, workflow) == [True, True, False]
    assert past(world, other) == [False]


def test_numbers_go_on_when_all_past_runs_are_gone(world: World) -> None:
    workflow = world.workflow(1)
    run_times(world, workflow, 3)
    world.database["runs"].delete_many({"past": True})
    run_times(world, workflow, 1)
    assert world.run(workflow).number == 4


def test_the_runs_of_a_removed_workflow_are_past(world: World) -> None:
    workflow = world.workflow(1)
    run_times(world, workflow, 2)
    Removal(world.database, world.core.runs).workflow(workflow, "gone")
    assert past(world, workflow) == [True, True]


def test_a_run_that_begins_while_its_workflow_is_removed_is_past(world: World) -> None:
    workflow = world.workflow(1)
    world.crash_after = 0
    with pytest.raises(Crashed):  # the run is stored, and nothing of it is carried out but what came first
        world.core.runs.start(workflow)
    world.database["runs"].update_many({}, {"$set": {"past": False}})
    world.database["workflows"].delete_one({"_id": workflow})
    world.sweep(6)
    assert past(world, workflow) == [True]


@pytest.mark.parametrize(
    ("change", "expected"),
    [(lambda _: None, [True, True, False]), (lambda db: db["workflows"].delete_many({}), [True, True, True])],
    ids=["of a workflow", "of one that is gone"],
)
def test_runs_that_were_stored_before_this_was_noted_are_marked_once(
    world: World, change: Callable[..., object], expected: list[bool]
) -> None:
    workflow = world.workflow(1)
    run_times(world, workflow, 3)
    change(world.database)
    world.database["runs"].update_many({}, {"$unset": {"past": ""}})
    mark_older_runs(world.database)
    assert past(world, workflow) == expected
    world.database["runs"].update_many({}, {"$unset": {"past": ""}})
    mark_older_runs(world.database)
    assert past(world, workflow) == [False] * 3


def test_a_run_is_linked_although_its_workflow_names_a_run_of_this_number_that_is_not_there(world: World) -> None:
    workflow = world.workflow(1)
    stale = {"runId": ObjectId(), "runNumber": 1}
    world.database["workflows"].update_one({"_id": workflow}, {"$set": stale})
    run_times(world, workflow, 1)
    linked = world.database["workflows"].find_one({"_id": workflow})
    assert linked is not None
    assert str(linked["runId"]) == world.run(workflow).id
