"""What happens in a workflow when two clients act at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from argon2 import PasswordHasher
from bson import ObjectId

from orchestrator.accounts.account import Account
from orchestrator.accounts.passwords import Passwords
from orchestrator.accounts.service import AccountService
from orchestrator.catalogue.packages import PackageStore
from orchestrator.catalogue.service import CatalogueService
from orchestrator.database import create_indexes
from orchestrator.embedded import embedded_database
from orchestrator.errors import BadParameter, Forbidden, NotFound
from orchestrator.seed import seed
from orchestrator.workflows.instances import InstanceService
from orchestrator.workflows.reading import Reader
from orchestrator.workflows.service import WorkflowService

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = frozenset(("workflows", permission) for permission in ("view", "create", "update", "delete"))


class Runs:
    """Keeps what it is told of properties; `meanwhile` happens once while it is told."""

    def __init__(self) -> None:
        self.told: list[Sequence[Mapping[str, Any]]] = []
        self.names: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def start(self, workflow_id: ObjectId) -> None: ...

    def pause(self, workflow_id: ObjectId) -> None: ...

    def stop(self, workflow_id: ObjectId, reason: str) -> None: ...

    def states(self, run_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Mapping[str, str]]:
        return {}

    def properties_changed(
        self, workflow_id: ObjectId, instance_id: ObjectId, properties: Sequence[Mapping[str, Any]]
    ) -> None:
        action, self.meanwhile = self.meanwhile, lambda: None
        action()
        self.told.append(properties)

    def renamed(self, workflow_id: ObjectId, name: str, desc: str) -> None:
        action, self.meanwhile = self.meanwhile, lambda: None
        action()
        self.names.append(name)

    def stop_needing(self, workty_id: ObjectId, reason: str) -> None: ...

    def awaits(self, workflow_id: ObjectId, instance_id: ObjectId) -> bool:
        return False


class World:
    """Services on an embedded database; `before` happens once before the next operation of that name."""

    def __init__(self) -> None:
        self.before: dict[tuple[str, str], Callable[[], object]] = {}
        self.db = embedded_database(observe=self._observed)
        create_indexes(self.db)
        passwords = Passwords(lambda: NOW, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        seed(self.db, "a@b", "secret", NOW, passwords)
        self.runs = Runs()
        accounts = AccountService(self.db, passwords, self.runs, lambda: NOW)
        catalogue = CatalogueService(self.db, PackageStore(self.db), accounts)
        reader = Reader(self.db, accounts, catalogue, self.runs)
        self.workflows = WorkflowService(self.db, reader, self.runs, lambda: NOW)
        self.instances = InstanceService(self.db, reader, catalogue, self.runs, lambda: NOW)
        self.ann = Account(ObjectId(), "ann", "ann@mail", frozenset({"regular"}), ALL)
        self.workflow = str(self.workflows.create(self.ann, {"name": "nightly"})["_id"])
        template = self.db["workties"].find_one({"name": "with-delay"})
        assert template is not None
        self.workty = str(template["_id"])

    def add(self, **body: Any) -> Any:
        return self.instances.add(self.ann, self.workflow, {"worktyId": self.workty, **body})

    def order(self) -> list[Any]:
        return list(self.workflows.get(self.ann, self.workflow)["worktiesInstancesIds"])

    def _observed(self, collection: str, operation: str) -> None:
        action = self.before.pop((collection, operation), None)
        if action is not None:
            action()


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


def test_services_ask_for_permission_themselves(world: World) -> None:
    nobody = Account(world.ann.id, "ann", "ann@mail", frozenset(), frozenset())
    for attempt in (
        lambda: world.workflows.get(nobody, world.workflow),
        lambda: world.workflows.create(nobody, {"name": "x"}),
        lambda: world.workflows.delete(nobody, world.workflow),
        lambda: world.workflows.run(nobody, world.workflow),
        lambda: world.instances.add(nobody, world.workflow, {"worktyId": world.workty}),
        lambda: world.instances.get(nobody, world.workflow, "x"),
    ):
        with pytest.raises(Forbidden):
            attempt()
