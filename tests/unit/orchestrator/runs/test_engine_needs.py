"""What a run still needs: who may delete an instance or a workty, and what becomes of the run."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.errors import WorkflowEmpty
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.world import World, finish


def mixed(world: World) -> tuple[ObjectId, list[ObjectId], list[ObjectId]]:
    """A workflow of two instances of two worktys: its id, theirs, and those of the worktys."""
    workflow = world.workflow(2, policies=[{"on_failure": "skip"}])
    instances = list(world.database["workty_instances"].find({"workflowId": workflow}, sort=[("_id", 1)]))
    first: Any = world.database["workties"].find_one({"_id": instances[0]["worktyId"]})
    second = first | {"_id": ObjectId()}
    world.database["workties"].insert_one(second)
    world.database["workty_instances"].update_one({"_id": instances[1]["_id"]}, {"$set": {"worktyId": second["_id"]}})
    return workflow, [found["_id"] for found in instances], [first["_id"], second["_id"]]


def test_an_active_run_awaits_the_instances_that_have_not_ended(world: World) -> None:
    board = world.board()
    workflow, (first, second), _ = mixed(world)
    runs = world.core.runs

    def awaited() -> list[bool]:
        return [runs.awaits(workflow, instance) for instance in (first, second, ObjectId())]

    assert awaited() == [False, False, False]
    runs.start(workflow)
    assert awaited() == [True, True, False]
    world.drive(board, "completed")
    assert awaited() == [False, True, False]
    world.drive(board, "failed")
    assert world.run(workflow).state is RunState.FAILED
    assert awaited() == [False, False, False]


def test_later_instances_of_a_run_that_failed_are_awaited_no_more(world: World) -> None:
    board = world.board()
    workflow = world.workflow(2)
    world.core.runs.start(workflow)
    second = ObjectId(world.run(workflow).steps[1].instance)
    world.drive(board, "failed")
    assert world.states(workflow) == ["failed", "initial"]
    assert not world.core.runs.awaits(workflow, second)


@pytest.mark.parametrize("ends", ["completed", "failed"])
def test_a_deleted_workty_stops_the_runs_that_have_still_to_run_it_and_no_others(world: World, ends: str) -> None:
    board = world.board()
    workflow, _, (done, needed) = mixed(world)
    other = world.workflow(1)
    for started in (workflow, other):
        world.core.runs.start(started)
    world.drive(board, ends)
    world.core.runs.stop_needing(done, "gone")
    assert world.run(workflow).state is RunState.WAITING
    world.core.runs.stop_needing(needed, "gone")
    assert world.run(workflow).state is RunState.STOPPING
    assert world.run(other).state is RunState.WAITING


def test_runs_that_ended_are_not_touched_by_a_deleted_workty(world: World) -> None:
    board = world.board()
    workflow, _, (_, second) = mixed(world)
    world.core.runs.start(workflow)
    finish(world, board, workflow)
    before = world.run(workflow)
    world.core.runs.stop_needing(second, "gone")
    assert world.run(workflow) == before


def test_an_instance_whose_workty_is_being_deleted_is_left_out_of_a_new_run(world: World) -> None:
    workflow, (first, _), (kept, gone) = mixed(world)
    world.database["workties"].delete_one({"_id": gone})
    world.core.runs.start(workflow)
    assert [step.instance for step in world.run(workflow).steps] == [str(first)]
    world.core.runs.stop(workflow, "enough")
    world.database["workties"].delete_one({"_id": kept})
    with pytest.raises(WorkflowEmpty):
        world.core.runs.start(workflow)


def test_the_live_messages_of_a_renamed_workflow_carry_its_new_name(world: World) -> None:
    board = world.board()
    workflow = world.workflow(1)
    world.core.runs.start(workflow)
    world.core.runs.renamed(workflow, "new name", "new desc")
    world.drive(board, "completed")
    assert (world.changes[-1].name, world.changes[-1].desc) == ("new name", "new desc")
