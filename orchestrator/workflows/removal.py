"""Takes workflows and instances away together with all that hangs on them.

Checks no permissions. Several writes are needed for each; they are ordered so that what a crash leaves behind can be
taken away by asking again. It tells only the owners of workflows that lose an instance together with its workty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.changes import entity_change
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.workflows.runs import Runs

#: Most instances that are taken away by one round of writes.
BATCH = 1000


class Removal:
    """Removes workflows and instances."""

    def __init__(self, db: Database[dict[str, Any]], runs: Runs, audience: Audience = NOBODY) -> None:
        self._workflows = db["workflows"]
        self._instances = db["workty_instances"]
        self._properties = db["workty_properties"]
        self._ui_settings = db["ui_settings"]
        self._runs = runs
        self._audience = audience

    def workflow(self, workflow_id: ObjectId, reason: str) -> bool:
        """Stop a workflow's run and remove it, its instances, their properties and its ui settings.

        Returns whether it was this call that removed the workflow. `reason` says why its run is stopped, for people.
        """
        self._runs.stop(workflow_id, reason)
        self._empty(workflow_id)
        self._runs.workflow_gone(workflow_id)
        removed = self._workflows.delete_one({"_id": workflow_id}).deleted_count > 0
        # Once more for what was started or added while the workflow was still there.
        self._runs.stop(workflow_id, reason)
        self._runs.workflow_gone(workflow_id)
        self._empty(workflow_id)
        return removed

    def workflows_of(self, account_id: ObjectId, reason: str) -> None:
        """Remove all workflows of an account, as `workflow` does."""
        for found in list(self._workflows.find({"accountId": account_id}, {"_id": True})):
            self.workflow(found["_id"], reason)

    def instance(self, instance: Mapping[str, Any]) -> bool:
        """Take an instance out of its workflow, then remove it. Returns whether this call took it out."""
        key = instance["_id"]
        taken = self._workflows.update_one(
            {"_id": instance["workflowId"], "worktiesInstancesIds": key}, {"$pull": {"worktiesInstancesIds": key}}
        )
        self._remove([instance])
        return taken.matched_count > 0

    def instances_of_workty(self, workty_id: ObjectId, actor: Account | None = None) -> None:
        """Remove every instance of a workty, in all workflows, and tell their owners; `actor` asked for it."""
        while found := self._batch({"worktyId": workty_id}):
            losing = self._take_out(found)
            self._remove(found)
            # Once more for one that came into its list while it was being removed.
            for workflow in (*losing, *self._take_out(found)):
                for instance in workflow["lost"]:
                    self._tell_lost(workflow, instance, actor)

    def _take_out(self, instances: list[Any]) -> list[dict[str, Any]]:
        """Take instances out of their workflows; returns the workflows with those that each of them `lost`."""
        ids = {instance["_id"] for instance in instances}
        losing = {"_id": {"$in": sorted({instance["workflowId"] for instance in instances})}}
        losing["worktiesInstancesIds"] = {"$in": sorted(ids)}
        found = list(self._workflows.find(losing, {"accountId": True, "worktiesInstancesIds": True}))
        self._workflows.update_many(losing, {"$pull": {"worktiesInstancesIds": {"$in": sorted(ids)}}})
        return [w | {"lost": [id_ for id_ in w["worktiesInstancesIds"] if id_ in ids]} for w in found]

    def _tell_lost(self, workflow: Mapping[str, Any], instance: ObjectId, actor: Account | None) -> None:
        about = entity_change(
            EntityKind.WORKFLOW,
            workflow["_id"],
            workflow["accountId"],
            actor,
            instance=instance,
            instance_deleted=True,
        )
        self._audience.entity_changed(about)

    def _empty(self, workflow_id: ObjectId) -> None:
        while found := self._batch({"workflowId": workflow_id}):
            self._remove(found)
        self._ui_settings.delete_many({"workflowId": workflow_id})

    def _batch(self, where: Mapping[str, Any]) -> list[dict[str, Any]]:
        return list(self._instances.find(where, {"workflowId": True, "propertiesIds": True}, limit=BATCH))

    def _remove(self, instances: list[Any]) -> None:
        """Properties first: while the instance is there it still says which ones are its own."""
        properties = [id_ for instance in instances for id_ in instance["propertiesIds"]]
        self._properties.delete_many({"_id": {"$in": properties}})
        self._instances.delete_many({"_id": {"$in": [instance["_id"] for instance in instances]}})
