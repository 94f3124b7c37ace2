"""What happens in a workflow when two clients act at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.accounts.account import Account
from orchestrator.errors import BadParameter, Forbidden, NotFound, ValidationFailed
from orchestrator.workflows.removal import Removal
from tests.unit.orchestrator.services import World


@pytest.fixture
def world() -> World:
    return World()


def test_a_place_named_by_its_neighbour_stays_true_when_another_instance_comes_first(world: World) -> None:
    neighbour = world.add()["_id"]
    others: list[Any] = []
    world.before["workflows", "find_one_and_update"] = lambda: others.append(world.add(position_type="first")["_id"])
    mine = world.add(position_id=str(neighbour))["_id"]
    assert world.order() == [others[0], mine, neighbour]


def test_an_instance_whose_neighbour_leaves_meanwhile_is_not_left_half_stored(world: World) -> None:
    neighbour = world.add()["_id"]
    stored = {name: world.db[name].count_documents({}) for name in ("workty_instances", "workty_properties")}

    def leave() -> None:
        world.db["workflows"].update_one({}, {"$pull": {"worktiesInstancesIds": neighbour}})

    world.before["workflows", "find_one_and_update"] = leave
    with pytest.raises(BadParameter):
        world.add(position_id=str(neighbour))
    assert stored == {name: world.db[name].count_documents({}) for name in stored}


def test_an_instance_of_a_workflow_that_is_deleted_meanwhile_is_not_left_half_stored(world: World) -> None:
    properties = world.db["workty_properties"].count_documents({})
    world.before["workflows", "find_one_and_update"] = lambda: world.workflows.delete(world.ann, world.workflow)
    with pytest.raises(NotFound):
        world.add()
    assert world.db["workty_instances"].count_documents({}) == 0
    assert world.db["workty_properties"].count_documents({}) == properties


def test_a_run_is_told_the_newest_properties_last(world: World) -> None:
    instance = world.add()
    [property_id] = instance["propertiesIds"]
    world.db["workflows"].update_one({}, {"$set": {"runId": ObjectId()}})

    def change(value: int) -> None:
        world.instances.change_property(
            world.ann, world.workflow, str(instance["_id"]), str(property_id), {"value": value}
        )

    world.runs.meanwhile = lambda: change(2)
    change(1)
    assert world.runs.told[-1][0]["value"] == 2


def test_a_workflow_is_reordered_as_it_is_at_that_moment(world: World) -> None:
    first, second = world.add()["_id"], world.add()["_id"]
    turned = {"name": "turned", "worktiesInstancesIds": [str(second), str(first)]}
    world.before["workflows", "find_one_and_update"] = world.add
    with pytest.raises(ValidationFailed):
        world.workflows.change(world.ann, world.workflow, turned)
    assert world.order()[:2] == [first, second]
    assert world.workflows.get(world.ann, world.workflow)["name"] == "nightly"


def test_a_run_is_told_the_newest_name_last(world: World) -> None:
    world.runs.meanwhile = lambda: world.workflows.change(world.ann, world.workflow, {"name": "second"})
    world.workflows.change(world.ann, world.workflow, {"name": "first"})
    assert world.runs.names[-1] == "second"


def test_a_workflow_that_is_deleted_meanwhile_is_not_changed(world: World) -> None:
    instance = str(world.add()["_id"])
    changes: list[Callable[[], object]] = [
        lambda: world.workflows.change(world.ann, world.workflow, {"name": "x"}),
        lambda: world.workflows.change(world.ann, world.workflow, {"worktiesInstancesIds": [instance]}),
        lambda: world.instances.change(world.ann, world.workflow, instance, {"position_type": "first"}),
    ]
    for change in changes:
        stored: Any = world.db["workflows"].find_one({})
        world.before["workflows", "find_one_and_update"] = lambda: world.db["workflows"].delete_many({})
        with pytest.raises(NotFound):
            change()
        assert world.db["workflows"].count_documents({}) == 0
        world.db["workflows"].insert_one(stored)


def test_an_instance_moves_among_those_that_are_there_at_that_moment(world: World) -> None:
    first, second = world.add()["_id"], world.add()["_id"]
    others: list[Any] = []
    world.before["workflows", "find_one_and_update"] = lambda: others.append(world.add(position_type="first")["_id"])
    world.instances.change(world.ann, world.workflow, str(second), {"position_id": str(first)})
    assert world.order() == [others[0], second, first]


def test_an_instance_that_is_deleted_meanwhile_does_not_come_back(world: World) -> None:
    first, second = world.add()["_id"], world.add()["_id"]
    remove = lambda: world.instances.remove(world.ann, world.workflow, str(second))  # noqa: E731
    world.before["workflows", "find_one_and_update"] = remove
    with pytest.raises(NotFound):
        world.instances.change(world.ann, world.workflow, str(second), {"position_type": "first", "name": "x"})
    assert world.order() == [first]
    assert world.db["workty_instances"].count_documents({}) == 1


def test_two_who_delete_an_instance_do_it_once(world: World) -> None:
    key = str(world.add()["_id"])
    world.before["workflows", "update_one"] = lambda: world.instances.remove(world.ann, world.workflow, key)
    with pytest.raises(NotFound):
        world.instances.remove(world.ann, world.workflow, key)
    assert world.order() == []


def test_an_instance_of_a_workty_that_is_deleted_meanwhile_is_not_left_behind(world: World) -> None:
    workty: Any = world.db["workties"].find_one({"_id": ObjectId(world.workty)})
    properties = world.db["workty_properties"].count_documents({})
    world.before["workty_instances", "insert_one"] = lambda: world.removal.workty(workty, "gone")
    with pytest.raises(NotFound):
        world.add()
    assert world.order() == []
    assert world.db["workty_instances"].count_documents({}) == 0
    assert world.db["workty_properties"].count_documents({}) == properties - len(workty["propertiesIds"])


def test_an_instance_that_is_removed_with_its_workty_does_not_come_into_the_list(world: World) -> None:
    removal, workty = Removal(world.db, world.runs), ObjectId(world.workty)
    world.before["workflows", "find_one_and_update"] = lambda: removal.instances_of_workty(workty)
    with pytest.raises(NotFound):
        world.add()
    assert world.order() == []


def test_an_instance_that_comes_into_the_list_while_it_is_removed_goes_again(world: World) -> None:
    removal, key = Removal(world.db, world.runs), world.add()["_id"]
    listed = {"$set": {"worktiesInstancesIds": [key]}}
    world.before["workty_instances", "delete_many"] = lambda: world.db["workflows"].update_one({}, listed)
    removal.instances_of_workty(ObjectId(world.workty))
    assert world.order() == []


def test_what_is_added_while_a_workty_is_deleted_goes_too(world: World) -> None:
    workty: Any = world.db["workties"].find_one({"_id": ObjectId(world.workty)})
    world.add()
    world.before["workties", "find_one_and_delete"] = world.add
    assert world.removal.workty(workty, "gone")
    assert world.order() == []
    assert world.db["workty_instances"].count_documents({}) == 0
    assert not world.removal.workty(workty, "gone")


def test_what_is_added_while_a_workflow_is_deleted_goes_too(world: World) -> None:
    world.add()
    properties = world.db["workty_properties"].count_documents({})
    world.before["workflows", "delete_one"] = world.add
    world.workflows.delete(world.ann, world.workflow)
    assert world.db["workty_instances"].count_documents({}) == 0
    assert world.db["workty_properties"].count_documents({}) == properties - 1


def test_services_ask_for_permission_themselves(world: World) -> None:
    nobody = Account(world.ann.id, "ann", "ann@mail", frozenset(), frozenset())
    for attempt in (
        lambda: world.workflows.get(nobody, world.workflow),
        lambda: world.workflows.create(nobody, {"name": "x"}),
        lambda: world.workflows.change(nobody, world.workflow, {"name": "x"}),
        lambda: world.workflows.delete(nobody, world.workflow),
        lambda: world.workflows.run(nobody, world.workflow),
        lambda: world.instances.add(nobody, world.workflow, {"worktyId": world.workty}),
        lambda: world.instances.get(nobody, world.workflow, "x"),
        lambda: world.instances.change(nobody, world.workflow, "x", {"name": "x"}),
        lambda: world.instances.remove(nobody, world.workflow, "x"),
    ):
        with pytest.raises(Forbidden):
            attempt()
