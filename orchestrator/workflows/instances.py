"""Instances of worktys in workflows, their order and their properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.catalogue.service import PROPERTY, CatalogueService
from orchestrator.catalogue.versions import LATEST
from orchestrator.changes import entity_change
from orchestrator.errors import NotFound, NothingToUpdate, OrchestratorError, StateForbids, TooManyInstances
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.selection import EVERYTHING, Record, Selection, View
from orchestrator.values import TEXT_LIMIT, Values, object_id
from orchestrator.workflows.policies import wanted_policy
from orchestrator.workflows.positions import POSITION, Position
from orchestrator.workflows.reading import Document, Reader
from orchestrator.workflows.removal import Removal
from orchestrator.workflows.runs import Runs
from orchestrator.workflows.upgrading import VERSION_LIMIT, Upgrades

#: What a client may change of an instance, besides its place.
FIELDS = ("name", "desc", "version", "policy")

#: Instances that a workflow may have: they and their workflow, or the run of them, are one document of the database,
#: which has at most 16 MiB.
MAX_INSTANCES = 500


class InstanceService:
    """The instances in a workflow. One is in it exactly if the workflow's list names it.

    Args:
        audience: is told what changes.
    """

    def __init__(
        self,
        db: Database[dict[str, Any]],
        reader: Reader,
        catalogue: CatalogueService,
        runs: Runs,
        clock: Callable[[], datetime],
        *,
        audience: Audience = NOBODY,
    ) -> None:
        self._workflows = db["workflows"]
        self._instances = db["workty_instances"]
        self._properties = db["workty_properties"]
        self._removal = Removal(db, runs)
        self._upgrades = Upgrades(db, catalogue)
        self._reader = reader
        self._catalogue = catalogue
        self._runs = runs
        self._clock = clock
        self._audience = audience

    def find(self, actor: Account, workflow_id: str, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """Instances of a workflow, by default in its order. Raises `Forbidden`, `NotFound`."""
        actor.require("workflows", "view")
        workflow = self._reader.owned(actor, workflow_id)
        ids = workflow["worktiesInstancesIds"]
        if selection.only_pages:
            found = self._reader.instances_of(workflow, selection.page(ids))
        else:
            found = selection.select(self._reader.instances_of(workflow, ids))
        return self._reader.instance_records(actor, [workflow], found, view)

    def get(self, actor: Account, workflow_id: str, instance_id: str, view: View = EVERYTHING) -> Record:
        """One instance of a workflow. Raises `Forbidden`, `NotFound`."""
        actor.require("workflows", "view")
        workflow = self._reader.owned(actor, workflow_id)
        return self._reader.instance_records(actor, [workflow], [self._in(workflow, instance_id)], view)[0]

    def add(self, actor: Account, workflow_id: str, body: Mapping[str, Any], view: View = EVERYTHING) -> Record:
        """A new instance of a workty, with a copy of its properties, at the place that the body names.

        It has the version that the workty has now, or the one that the body names, and keeps it.

        Raises `Forbidden`, `NotFound`, `NotOwnWorkty`, `BadParameter`, `ValidationFailed`, `TooManyInstances`.
        """
        actor.require("workflows", "update")
        values, position = Values(body), Position.of(body)
        values.required("worktyId")
        workflow = self._reader.owned(actor, workflow_id)
        workty = self._catalogue.usable(actor, values.id("worktyId"))
        position.place(workflow["worktiesInstancesIds"])
        package = self._catalogue.package(workty, values.text("version", limit=VERSION_LIMIT) or LATEST)
        instance = {
            "_id": ObjectId(),
            "workflowId": workflow["_id"],
            "worktyId": workty["_id"],
            "name": values.text("name"),
            "desc": values.text("desc", limit=TEXT_LIMIT),
            "created": self._clock(),
            "version": package.get("version", ""),
            "policy": wanted_policy(values),
        }
        values.done()
        properties = [found | {"_id": ObjectId()} for found in self._catalogue.offered(workty, package)]
        workflow = self._store(workflow, instance, properties, position)
        found = self._reader.instances_of(workflow, [instance["_id"]])
        if not found:
            # Removed together with its workty before it came into the list.
            self._removal.instance(instance)
            raise NotFound("instance")
        self._tell(actor, workflow, instance)
        return self._reader.instance_records(actor, [workflow], found, view)[0]

    def change(
        self, actor: Account, workflow_id: str, instance_id: str, body: Mapping[str, Any], view: View = EVERYTHING
    ) -> Record:
        """Change name, desc, version or policy of an instance, or move it to the place that the body names.

        With another version its properties become what that declares. A run that is under way keeps what it began with.

        Raises `Forbidden`, `NothingToUpdate`, `NotFound`, `BadParameter`, `ValidationFailed`.
        """
        actor.require("workflows", "update")
        values, position = Values(body), Position.of(body)
        if not position.given and not any(name in values for name in FIELDS):
            raise NothingToUpdate((*FIELDS, *POSITION))
        workflow = self._reader.owned(actor, workflow_id)
        key = self._in(workflow, instance_id)["_id"]
        if position.given:
            position.place(workflow["worktiesInstancesIds"])
        changed: dict[str, Any] = {"name": values.text("name")} if "name" in values else {}
        changed |= {"desc": values.text("desc", limit=TEXT_LIMIT)} if "desc" in values else {}
        changed |= {"policy": wanted_policy(values)} if "policy" in values else {}
        version = values.text("version", limit=VERSION_LIMIT)
        values.done()
        if "version" in values:
            self._upgrades.carry_out(key, version)
        if position.given:
            workflow = self._arrange(workflow, lambda ids: position.moved(ids, key), holding=key)
        if changed:
            self._instances.update_one({"_id": key}, {"$set": changed})
            self._tell_name(workflow, key)
        instance = self._in(workflow, instance_id)
        self._tell(actor, workflow, instance)
        return self._reader.instance_records(actor, [workflow], [instance], view)[0]

    def remove(self, actor: Account, workflow_id: str, instance_id: str) -> None:
        """Remove an instance with its properties. Raises `Forbidden`, `NotFound`, `StateForbids`."""
        actor.require("workflows", "update")
        workflow = self._reader.owned(actor, workflow_id)
        instance = self._in(workflow, instance_id)
        # No lock is needed: a run that begins after this question has copies of all it needs, and misses nothing.
        if self._runs.awaits(workflow["_id"], instance["_id"]):
            raise StateForbids("Workflow instance is running")
        if not self._removal.instance(instance):
            raise NotFound("instance")
        self._tell(actor, workflow, instance, deleted=True)

    def change_property(
        self, actor: Account, workflow_id: str, instance_id: str, property_id: str, body: Mapping[str, Any]
    ) -> Record:
        """Change name or value of a property of an instance; counts for what was not yet sent to a board.

        Raises `Forbidden`, `NothingToUpdate`, `NotFound`, `ValidationFailed`.
        """
        actor.require("workflows", "update")
        values = Values(body)
        values.changes("name", "value", required=("name",))
        workflow = self._reader.owned(actor, workflow_id)
        instance = self._in(workflow, instance_id)
        key = object_id(property_id)
        if key not in instance["propertiesIds"]:
            raise NotFound("property")
        changed: dict[str, Any] = {"name": values.text("name")} if "name" in values else {}
        changed |= {"value": values.json("value")} if "value" in values else {}
        values.done()
        found = self._properties.find_one_and_update(
            {"_id": key}, {"$set": changed}, return_document=ReturnDocument.AFTER
        )
        if found is None:
            raise NotFound("property")
        if workflow.get("runId"):
            self._tell_run(workflow["_id"], instance)
        self._tell(actor, workflow, instance)
        return EVERYTHING.pick(found, PROPERTY)

    def _tell(self, actor: Account, workflow: Document, instance: Document, *, deleted: bool = False) -> None:
        about = entity_change(
            EntityKind.WORKFLOW,
            workflow["_id"],
            workflow["accountId"],
            actor,
            instance=instance["_id"],
            instance_deleted=deleted,
        )
        self._audience.entity_changed(about)

    def _in(self, workflow: Document, instance_id: str) -> Record:
        key = object_id(instance_id)
        found = self._reader.instances_of(workflow, [key]) if key in workflow["worktiesInstancesIds"] else []
        if not found:
            raise NotFound("instance")
        return found[0]

    def _store(
        self, workflow: Document, instance: Record, properties: Sequence[Record], position: Position
    ) -> Document:
        """Store everything, the workflow's list last: until then the instance does not exist for anybody.

        Returns the workflow as it is then.
        """
        instance["propertiesIds"] = [found["_id"] for found in properties]
        if properties:
            self._properties.insert_many(properties)
        self._instances.insert_one(instance)
        try:
            enlisted = self._arrange(workflow, lambda ids: _with(ids, instance["_id"], position))
            # A workty that was deleted meanwhile took its instances along before this one was there.
            self._catalogue.require(instance["worktyId"])
        except OrchestratorError:
            self._removal.instance(instance)
            raise
        return enlisted

    def _arrange(
        self,
        workflow: Document,
        arrange: Callable[[list[ObjectId]], list[ObjectId]],
        *,
        holding: ObjectId | None = None,
    ) -> Document:
        """Write the list anew as it was read; whoever finds it changed reads it again, so that places stay true.

        Returns the workflow as it is then. Raises `NotFound` if it is gone, or its list does not hold `holding`.
        """
        read: Document | None = workflow
        while read is not None:
            ids = read["worktiesInstancesIds"]
            if holding is not None and holding not in ids:
                raise NotFound("instance")
            done = self._workflows.find_one_and_update(
                {"_id": workflow["_id"], "worktiesInstancesIds": ids},
                {"$set": {"worktiesInstancesIds": arrange(ids)}},
                return_document=ReturnDocument.AFTER,
            )
            if done is not None:
                return done
            read = self._workflows.find_one({"_id": workflow["_id"]})
        raise NotFound("workflow")

    def _tell_name(self, workflow: Document, key: ObjectId) -> None:
        """Tell the run name and desc, again if they changed while it was told: so the newest ones come last."""
        told = None
        while workflow.get("runId") and (found := self._instances.find_one({"_id": key})) is not None:
            known = (found.get("name", ""), found.get("desc", ""))
            if known == told:
                return
            told = known
            self._runs.instance_renamed(workflow["_id"], key, *known)

    def _tell_run(self, workflow_id: ObjectId, instance: Document) -> None:
        """Tell the run all properties, again if they changed while it was told: so the newest ones come last."""
        told: list[Record] = []
        while (known := self._catalogue.properties(instance["propertiesIds"])) != told:
            told = known
            self._runs.properties_changed(
                workflow_id,
                instance["_id"],
                [{"id": str(p["_id"]), "name": p["name"], "value": p["value"]} for p in told],
            )


def _with(ids: list[ObjectId], new: ObjectId, position: Position) -> list[ObjectId]:
    if len(ids) >= MAX_INSTANCES:
        raise TooManyInstances(MAX_INSTANCES)
    place = position.place(ids)
    return [*ids[:place], new, *ids[place:]]
