"""Workflows: what an account has, and the commands that run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.changes import entity_change
from orchestrator.errors import NotFound, ValidationFailed
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.runs.vocabulary import Run
from orchestrator.selection import EVERYTHING, Record, Selection, View
from orchestrator.values import TEXT_LIMIT, Values, object_id
from orchestrator.workflows.policies import wanted_deadline
from orchestrator.workflows.reading import WORKFLOW, Document, Reader
from orchestrator.workflows.removal import Removal
from orchestrator.workflows.runs import Runs

#: What live clients see of a workflow.
_ALL_INSIDE = View(embed=frozenset({"worktiesinstances", "worktiesinstances.state", "worktiesinstances.properties"}))


@dataclass(frozen=True, slots=True)
class Overview:
    """A workflow with all that is in it, states and properties included, and its latest run."""

    workflow: Record
    run: Run | None


class WorkflowService:
    """Workflows of accounts. What belongs to another account does not exist, except for admins.

    Args:
        audience: is told what changes.
    """

    def __init__(
        self,
        db: Database[dict[str, Any]],
        reader: Reader,
        runs: Runs,
        clock: Callable[[], datetime],
        audience: Audience = NOBODY,
    ) -> None:
        self._workflows = db["workflows"]
        self._removal = Removal(db, runs)
        self._reader = reader
        self._runs = runs
        self._clock = clock
        self._audience = audience

    def find(self, actor: Account, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """Own workflows, for admins all. Raises `Forbidden`."""
        actor.require("workflows", "view")
        own = {} if actor.is_admin else {"accountId": actor.id}
        found = self._reader.select(selection.mongo_filter(own), selection, view)
        return self._reader.workflow_records(actor, found, view)

    def get(self, actor: Account, workflow_id: str, view: View = EVERYTHING) -> Record:
        """One workflow. Raises `Forbidden`, `NotFound`."""
        actor.require("workflows", "view")
        return self._reader.workflow_records(actor, [self._reader.owned(actor, workflow_id)], view)[0]

    def overviews(self, actor: Account, selection: Selection) -> list[Overview]:
        """Own workflows with all that is in them, for admins all. Raises `Forbidden`."""
        actor.require("workflows", "view")
        own = {} if actor.is_admin else {"accountId": actor.id}
        found = self._reader.select(selection.mongo_filter(own), selection, _ALL_INSIDE)
        return self._overviews(actor, found)

    def overview(self, actor: Account, workflow_id: str) -> Overview:
        """One workflow with all that is in it. Raises `Forbidden`, `NotFound`."""
        actor.require("workflows", "view")
        return self._overviews(actor, [self._reader.owned(actor, workflow_id)])[0]

    def run_to_follow(self, actor: Account, workflow_id: str, run_id: str | None = None) -> str | None:
        """Id of the workflow's latest run, None if it has none, or of the one that is named.

        Raises `Forbidden`, `NotFound`, also for a run of another workflow.
        """
        actor.require("workflows", "view")
        workflow = self._reader.owned(actor, workflow_id)
        if run_id is None:
            return str(workflow["runId"]) if workflow.get("runId") else None
        key = object_id(run_id)
        found = self._runs.of([key]).get(key)
        if found is None or found.workflow != str(workflow["_id"]):
            raise NotFound("run")
        return found.id

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
        seconds = wanted_deadline(values)
        document |= {} if seconds is None else {"deadline": seconds}
        values.done()
        self._workflows.insert_one(document)
        self._tell(actor, document)
        return EVERYTHING.pick(document, WORKFLOW)

    def change(self, actor: Account, workflow_id: str, body: Mapping[str, Any]) -> Record:
        """Change name, desc, deadline or, by a permutation of `worktiesInstancesIds`, the order of the instances.

        Another deadline counts from the next run.

        Raises `Forbidden`, `NothingToUpdate`, `NotFound`, `ValidationFailed`.
        """
        actor.require("workflows", "update")
        values = Values(body)
        values.changes("name", "desc", "worktiesInstancesIds", "deadline", required=("name",))
        workflow = self._reader.owned(actor, workflow_id)
        changed: dict[str, Any] = {"name": values.text("name")} if "name" in values else {}
        changed |= {"desc": values.text("desc", limit=TEXT_LIMIT)} if "desc" in values else {}
        changed |= {"deadline": wanted_deadline(values)} if "deadline" in values else {}
        order = values.ids("worktiesInstancesIds") if "worktiesInstancesIds" in values else None
        values.done()
        if order is None:
            done = self._write({"_id": workflow["_id"]}, changed)
        else:
            done = self._reorder(workflow, changed, order)
        if done is None:
            raise NotFound("workflow")
        if changed:
            self._tell_name(done)
        self._tell(actor, done)
        return EVERYTHING.pick(done, WORKFLOW)

    def delete(self, actor: Account, workflow_id: str) -> None:
        """Stop a workflow's run and remove it with all that is in it. Raises `Forbidden`, `NotFound`."""
        actor.require("workflows", "delete")
        workflow = self._reader.owned(actor, workflow_id)
        if not self._removal.workflow(workflow["_id"], "The workflow was deleted"):
            raise NotFound("workflow")
        self._tell(actor, workflow, deleted=True)

    def run(self, actor: Account, workflow_id: str) -> Record:
        """Start a run, or go on with a paused one; returns the workflow.

        Raises `Forbidden`, `NotFound`, `WorkflowEmpty`, `StateForbids`.
        """
        return self._command(actor, workflow_id, self._runs.start)

    def resume(self, actor: Account, workflow_id: str) -> Record:
        """Go on with a paused run. Raises `Forbidden`, `NotFound`, and `StateForbids` where nothing is paused."""
        return self._command(actor, workflow_id, self._runs.resume)

    def pause(self, actor: Account, workflow_id: str) -> Record:
        """Pause the run, if there is one. Raises `Forbidden`, `NotFound`, `StateForbids`."""
        return self._command(actor, workflow_id, self._runs.pause)

    def stop(self, actor: Account, workflow_id: str) -> Record:
        """Stop the run, if there is one. Raises `Forbidden`, `NotFound`."""
        return self._command(actor, workflow_id, lambda key: self._runs.stop(key, "A client asked for it"))

    def _overviews(self, actor: Account, documents: list[Document]) -> list[Overview]:
        run_ids = [document["runId"] for document in documents if document.get("runId")]
        runs = self._runs.of(run_ids) if run_ids else {}
        records = self._reader.workflow_records(actor, documents, _ALL_INSIDE)
        return [
            Overview(record, runs.get(document["runId"]) if document.get("runId") else None)
            for record, document in zip(records, documents, strict=True)
        ]

    def _command(self, actor: Account, workflow_id: str, command: Callable[[ObjectId], None]) -> Record:
        actor.require("workflows", "update")
        workflow = self._reader.owned(actor, workflow_id)
        command(workflow["_id"])
        # Also where nothing came of it: whoever asked sees how the workflow stands now.
        self._tell(actor, workflow)
        return EVERYTHING.pick(workflow, WORKFLOW)

    def _tell(self, actor: Account, workflow: Document, *, deleted: bool = False) -> None:
        about = entity_change(EntityKind.WORKFLOW, workflow["_id"], workflow["accountId"], actor, deleted=deleted)
        self._audience.entity_changed(about)

    def _write(self, key: Mapping[str, Any], changed: Mapping[str, Any]) -> Document | None:
        """Write fields; those that are None are taken away."""
        present = {name: value for name, value in changed.items() if value is not None}
        gone = dict.fromkeys(changed.keys() - present.keys(), "")
        update = {operator: fields for operator, fields in (("$set", present), ("$unset", gone)) if fields}
        return self._workflows.find_one_and_update(key, update, return_document=ReturnDocument.AFTER)

    def _reorder(self, workflow: Document, changed: Mapping[str, Any], order: Sequence[ObjectId]) -> Document | None:
        """Write fields together with the order, which has to be a permutation of what is there at that moment."""
        read: Document | None = workflow
        while read is not None:
            present = read["worktiesInstancesIds"]
            if sorted(present) != sorted(order):
                raise ValidationFailed(["Path `worktiesInstancesIds` is no permutation of the present instances."])
            key = {"_id": workflow["_id"], "worktiesInstancesIds": present}
            done = self._write(key, {**changed, "worktiesInstancesIds": order})
            if done is not None:
                return done
            read = self._workflows.find_one({"_id": workflow["_id"]})
        return None

    def _tell_name(self, workflow: Document) -> None:
        """Tell the runs name and desc, again if they changed while they were told: so the newest ones come last."""
        told = None
        while (known := (workflow["name"], workflow.get("desc", ""))) != told:
            told = known
            self._runs.renamed(workflow["_id"], *known)
            workflow = self._workflows.find_one({"_id": workflow["_id"]}) or workflow
