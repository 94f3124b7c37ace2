"""Workflows and instances as clients see them: states from the runs, ids replaced by what they name.

A list costs one query a collection that takes part, however many entries it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.accounts.service import AccountService
from orchestrator.catalogue.service import PROPERTY, CatalogueService
from orchestrator.errors import NotFound
from orchestrator.references import embed, from_collection
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, Selection, View
from orchestrator.values import object_id
from orchestrator.workflows.policies import shown_policy
from orchestrator.workflows.runs import Runs

WORKFLOW: Entity = {
    "_id": Kind.ID,
    "name": Kind.TEXT,
    "desc": Kind.TEXT,
    "accountId": Kind.ID,
    "worktiesInstancesIds": Kind.OTHER,
    "created": Kind.DATE,
    # Only workflows that have one.
    "deadline": Kind.DECIMAL,
}

INSTANCE: Entity = {
    "_id": Kind.ID,
    "workflowId": Kind.ID,
    "worktyId": Kind.ID,
    "name": Kind.TEXT,
    "desc": Kind.TEXT,
    "stateId": Kind.ID,
    "propertiesIds": Kind.OTHER,
    "created": Kind.DATE,
    "version": Kind.TEXT,
    "policy": Kind.OTHER,
}

STATE: Entity = {"_id": Kind.ID, "name": Kind.TEXT}

#: State of an instance that is part of no run.
INITIAL = "initial"

Document = Mapping[str, Any]

#: The key that embeds the instances of a workflow.
_KEY = "worktiesinstances"
#: Where a workflow that was read with its instances has them.
_INSTANCES = "instances"
_WITH_INSTANCES = {
    "$lookup": {
        "from": "workty_instances",
        "localField": "worktiesInstancesIds",
        "foreignField": "_id",
        "as": _INSTANCES,
    }
}


class Reader:
    """Reads workflows and their instances."""

    def __init__(
        self, db: Database[dict[str, Any]], accounts: AccountService, catalogue: CatalogueService, runs: Runs
    ) -> None:
        self._workflows = db["workflows"]
        self._instances = db["workty_instances"]
        self._properties = db["workty_properties"]
        self._states = db["workty_instance_states"]
        self._known_states: Mapping[str, Record] = {}
        self._accounts = accounts
        self._catalogue = catalogue
        self._runs = runs

    def owned(self, actor: Account, workflow_id: str) -> Document:
        """The document of a workflow that exists for the account. Raises `NotFound`."""
        key = {"_id": object_id(workflow_id)}
        found = self._workflows.find_one(key if actor.is_admin else key | {"accountId": actor.id})
        if found is None:
            raise NotFound("workflow")
        return found

    def select(self, matching: Mapping[str, Any], selection: Selection, view: View) -> list[Document]:
        """Documents of workflows for `workflow_records`; with the instances that the view embeds."""
        stages: list[Document] = [{"$match": matching}, {"$sort": dict(selection.mongo_sort())}]
        stages += [{"$skip": selection.skip}] if selection.skip else []
        stages += [{"$limit": selection.limit}] if selection.limit else []
        stages += [_WITH_INSTANCES] if _embeds_instances(view) else []
        return list(self._workflows.aggregate(stages))

    def instances_of(self, workflow: Document, ids: Iterable[ObjectId]) -> list[Record]:
        """Documents of instances of a workflow in the order of `ids`, each with its present `stateId`."""
        wanted = list(ids)
        found = self._instances.find({"_id": {"$in": wanted}}).to_list() if wanted else []
        return self._ordered(self._with_states([workflow], found), wanted)

    def workflow_records(self, actor: Account, workflows: Iterable[Document], view: View) -> list[Record]:
        """Workflows with what the view embeds."""
        documents = list(workflows)
        records = [view.pick(document, WORKFLOW) for document in documents]
        if _embeds_instances(view):
            found = self._with_states(documents, self._inside(documents))
            inside = self.instance_records(actor, documents, found, view.inside(_KEY))
            known = {record["_id"]: record for record in inside}
            embed(records, "worktiesInstancesIds", lambda ids: known)
        if view.embeds("accountId", "account"):
            embed(records, "accountId", lambda ids: self._accounts.strangers(actor, ids))
        return records

    def instance_records(
        self, actor: Account, workflows: Iterable[Document], instances: Iterable[Document], view: View
    ) -> list[Record]:
        """Instances, as `instances_of` returns them, with what the view embeds; `workflows` are those they are in."""
        documents = list(instances)
        records = [view.pick(document, INSTANCE) for document in documents]
        if view.embeds("stateId", "state"):
            for record, document in zip(records, documents, strict=True):
                record["stateId"] = document["state"]
        if view.embeds("workflowId", "workflow"):
            known = {workflow["_id"]: EVERYTHING.pick(workflow, WORKFLOW) for workflow in workflows}
            embed(records, "workflowId", lambda ids: known)
        if view.embeds("propertiesIds", "properties"):
            embed(records, "propertiesIds", from_collection(self._properties, PROPERTY))
        if view.embeds("worktyId", "workty", "worktyinstance"):
            embed(records, "worktyId", lambda ids: self._catalogue.embedded(actor, ids))
        return records

    def _inside(self, workflows: Iterable[Document]) -> list[Record]:
        """All instances of the workflows, in no order; at most one query."""
        read = [workflow[_INSTANCES] for workflow in workflows if _INSTANCES in workflow]
        missing = [
            id_ for workflow in workflows if _INSTANCES not in workflow for id_ in workflow["worktiesInstancesIds"]
        ]
        found = self._instances.find({"_id": {"$in": missing}}).to_list() if missing else []
        return [*chain.from_iterable(read), *found]

    def _with_states(self, workflows: Iterable[Document], documents: list[Record]) -> list[Record]:
        """The documents of instances with `state`, `stateId`, `version` and `policy` set; at most one query."""
        runs: dict[ObjectId, ObjectId] = {w["_id"]: w["runId"] for w in workflows if w.get("runId")}
        run_ids = {runs[document["workflowId"]] for document in documents if document["workflowId"] in runs}
        states = self._runs.states(sorted(run_ids)) if run_ids else {}
        for document in documents:
            run = runs.get(document["workflowId"])
            state = self._state(states.get(run, {}).get(str(document["_id"]), INITIAL) if run else INITIAL)
            # An instance that was made before there were versions goes with the code that its workty has.
            document |= {"state": state, "stateId": state["_id"], "version": document.get("version") or ""}
            document["policy"] = shown_policy(document)
        return documents

    def _state(self, name: str) -> Record:
        """The dictionary's entry for a state. Entries never change, so each is looked up once."""
        if name not in self._known_states:
            self._known_states = {row["name"]: EVERYTHING.pick(row, STATE) for row in self._states.find()}
        return dict(self._known_states[name])

    def _ordered(self, documents: Iterable[Record], ids: Iterable[ObjectId]) -> list[Record]:
        known = {document["_id"]: document for document in documents}
        return [known[id_] for id_ in ids if id_ in known]


def _embeds_instances(view: View) -> bool:
    return view.embeds("worktiesInstancesIds", _KEY, *(f"{_KEY}.{name}" for name in view.inside(_KEY).embed))
