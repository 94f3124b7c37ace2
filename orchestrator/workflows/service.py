"""Workflows: what an account has, and the commands that run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.errors import NotFound
from orchestrator.selection import EVERYTHING, Record, Selection, View
from orchestrator.values import TEXT_LIMIT, Values
from orchestrator.workflows.reading import WORKFLOW, Reader
from orchestrator.workflows.runs import Runs


class WorkflowService:
    """Workflows of accounts. What belongs to another account does not exist, except for admins."""

    def __init__(self, db: Database[dict[str, Any]], reader: Reader, runs: Runs, clock: Callable[[], datetime]) -> None:
        self._workflows = db["workflows"]
        self._instances = db["workty_instances"]
        self._properties = db["workty_properties"]
        self._ui_settings = db["ui_settings"]
        self._reader = reader
        self._runs = runs
        self._clock = clock

    def find(self, actor: Account, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """Own workflows, for admins all. Raises `Forbidden`."""
        actor.require("workflows", "view")
        own = {} if actor.is_admin else {"accountId": actor.id}
        found = self._workflows.find(
            {"$and": [own, selection.where]},
            sort=selection.mongo_sort(),
            skip=selection.skip,
            limit=selection.limit,
        )
        return self._reader.workflow_records(actor, found, view)

    def get(self, actor: Account, workflow_id: str, view: View = EVERYTHING) -> Record:
        """One workflow. Raises `Forbidden`, `NotFound`."""
        actor.require("workflows", "view")
        return self._reader.workflow_records(actor, [self._reader.owned(actor, workflow_id)], view)[0]

    def create(self, actor: Account, body: Mapping[str, Any]) -> Record:
        """A new workflow without instances, owned by the actor. Raises `Forbidden`, `ValidationFailed`."""
        actor.require("workflows", "create")
        values = Values(body)
        values.required("name")
        document = {
            "_id": ObjectId(),
            "name": values.text("name"),
            "desc": values.text("desc", limit=TEXT_LIMIT),
            "accountId": actor.id,
            "worktiesInstancesIds": [],
            "created": self._clock(),
        }
        values.done()
        self._workflows.insert_one(document)
        return EVERYTHING.pick(document, WORKFLOW)

    def delete(self, actor: Account, workflow_id: str) -> None:
        """Stop a workflow's run and remove it with all that is in it. Raises `Forbidden`, `NotFound`."""
        actor.require("workflows", "delete")
        key = self._reader.owned(actor, workflow_id)["_id"]
        self._runs.stop(key, "The workflow was deleted")
        if not self._workflows.delete_one({"_id": key}).deleted_count:
            raise NotFound("workflow")
        inside = {"workflowId": key}
        instances = self._instances.find(inside, {"propertiesIds": True})
        properties = [id_ for instance in instances for id_ in instance["propertiesIds"]]
        self._properties.delete_many({"_id": {"$in": properties}})
        self._instances.delete_many(inside)
        self._ui_settings.delete_many(inside)

    def run(self, actor: Account, workflow_id: str) -> Record:
        """Start a run, or go on with a paused one; returns the workflow.

        Raises `Forbidden`, `NotFound`, `WorkflowEmpty`, `StateForbids`.
        """
        return self._command(actor, workflow_id, self._runs.start)

    def pause(self, actor: Account, workflow_id: str) -> Record:
        """Pause the run, if there is one. Raises `Forbidden`, `NotFound`, `StateForbids`."""
        return self._command(actor, workflow_id, self._runs.pause)

    def stop(self, actor: Account, workflow_id: str) -> Record:
        """Stop the run, if there is one. Raises `Forbidden`, `NotFound`."""
        return self._command(actor, workflow_id, lambda key: self._runs.stop(key, "A client asked for it"))

    def _command(self, actor: Account, workflow_id: str, command: Callable[[ObjectId], None]) -> Record:
        actor.require("workflows", "update")
        workflow = self._reader.owned(actor, workflow_id)
        command(workflow["_id"])
        return EVERYTHING.pick(workflow, WORKFLOW)
