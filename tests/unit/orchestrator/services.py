"""Services of workflows and of the catalogue on an embedded database, for tests of what happens at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from argon2 import PasswordHasher
from bson import ObjectId

from orchestrator.accounts.account import Account
from orchestrator.accounts.passwords import Passwords
from orchestrator.accounts.service import AccountService
from orchestrator.catalogue.editing import CatalogueEditor
from orchestrator.catalogue.packages import PackageStore
from orchestrator.catalogue.properties import WorktyProperties
from orchestrator.catalogue.removal import WorktyRemoval
from orchestrator.catalogue.service import CatalogueService
from orchestrator.database import create_indexes
from orchestrator.embedded import embedded_database
from orchestrator.seed import PERMISSIONS, seed
from orchestrator.workflows.drawings import DrawingService
from orchestrator.workflows.instances import InstanceService
from orchestrator.workflows.reading import Reader
from orchestrator.workflows.service import WorkflowService

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = frozenset((area, permission) for area in ("workflows", "workties", "uisettings") for permission in PERMISSIONS)


class Runs:
    """Keeps what it is told of properties; `meanwhile` happens once while it is told."""

    def __init__(self) -> None:
        self.told: list[Sequence[Mapping[str, Any]]] = []
        self.names: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def start(self, workflow_id: ObjectId) -> None: ...

    def resume(self, workflow_id: ObjectId) -> None: ...

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

    def workflow_gone(self, workflow_id: ObjectId) -> None: ...

    def renamed(self, workflow_id: ObjectId, name: str, desc: str) -> None:
        action, self.meanwhile = self.meanwhile, lambda: None
        action()
        self.names.append(name)

    def instance_renamed(self, workflow_id: ObjectId, instance_id: ObjectId, name: str, desc: str) -> None: ...

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
        packages = PackageStore(self.db)
        accounts = AccountService(self.db, passwords, self.runs, lambda: NOW)
        catalogue = CatalogueService(self.db, packages, accounts)
        reader = Reader(self.db, accounts, catalogue, self.runs)
        self.workflows = WorkflowService(self.db, reader, self.runs, lambda: NOW)
        self.instances = InstanceService(self.db, reader, catalogue, self.runs, lambda: NOW)
        self.drawings = DrawingService(self.db, reader)
        self.ann = Account(ObjectId(), "ann", "ann@mail", frozenset({"regular"}), ALL)
        removal = WorktyRemoval(self.db, packages, self.runs, lambda: NOW)
        self.editor = CatalogueEditor(self.db, catalogue, packages, removal, lambda: NOW)
        self.properties = WorktyProperties(self.db, catalogue)
        self.removal = removal
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
