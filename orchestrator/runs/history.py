"""Runs as their owners look back on them: what ran, on which board, how steps ended and what they wrote. Reads only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.errors import NotFound
from orchestrator.runs.logs import RunLogs
from orchestrator.runs.vocabulary import RunState, StepState
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, Selection, View
from orchestrator.values import object_id

RUN: Entity = {
    "_id": Kind.ID,
    "workflowId": Kind.ID,
    "accountId": Kind.ID,
    "number": Kind.NUMBER,
    "name": Kind.OTHER,
    "desc": Kind.OTHER,
    "state": Kind.TEXT,
    "losses": Kind.NUMBER,
    "created": Kind.DATE,
    "started": Kind.DATE,
    "finished": Kind.DATE,
    "board": Kind.OTHER,
    "waitsFor": Kind.OTHER,
}

#: One run also has its steps, and the last lines that they wrote.
RUN_WITH_STEPS: Entity = {**RUN, "steps": Kind.OTHER, "changes": Kind.OTHER, "logTail": Kind.OTHER}
TAIL_LINES = 20

#: A message of lines that a step wrote; `at` is when it came, `name` that of the step.
LOG_MESSAGE: Entity = {
    "_id": Kind.ID,
    "seq": Kind.NUMBER,
    "instance": Kind.ID,
    "name": Kind.OTHER,
    "attempt": Kind.NUMBER,
    "at": Kind.DATE,
    "lines": Kind.OTHER,
    "dropped": Kind.NUMBER,
}

#: What counts as recent for figures of speed.
RECENT = timedelta(minutes=1)

NEWEST_FIRST = [("created", DESCENDING), ("_id", DESCENDING)]

Document = Mapping[str, Any]

#: Of each step only what tells what the run waits for.
_HEAD = {
    **dict.fromkeys(("workflowId", "accountId", "number", "workflow", "state", "losses", "board", "current"), 1),
    **dict.fromkeys(("created", "started", "finished", "steps.state", "steps.reason"), 1),
}


class RunHistory:
    """Runs of accounts. What belongs to another account does not exist, except for admins."""

    def __init__(self, db: Database[dict[str, Any]]) -> None:
        self._runs = db["runs"]
        self._logs = RunLogs(db)

    def find(self, actor: Account, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """Own runs, for admins all, newest first unless sorted otherwise; without steps. Raises `Forbidden`."""
        actor.require("workflows", "view")
        own = {} if actor.is_admin else {"accountId": actor.id}
        found = self._runs.find(
            selection.mongo_filter(own),
            _HEAD,
            sort=selection.mongo_sort() if selection.sort else NEWEST_FIRST,
            skip=selection.skip,
            limit=selection.limit,
        )
        return [view.pick(_record(document), RUN) for document in found]

    def get(self, actor: Account, run_id: str, view: View = EVERYTHING) -> Record:
        """One run with its steps, its last changes of state, and the last lines of its log.

        Raises `Forbidden`, `NotFound`.
        """
        document = self._owned(actor, run_id)
        steps = [_step(step) for step in document["steps"]]
        tail = self._logs.tail(document["_id"], TAIL_LINES) if view.has("logTail") else []
        changes = [_change(entry, document["steps"]) for entry in document.get("history", ())]
        return view.pick(_record(document) | {"steps": steps, "changes": changes, "logTail": tail}, RUN_WITH_STEPS)

    def log(self, actor: Account, run_id: str, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """What the steps of a run wrote: the messages that are kept, in order unless sorted otherwise.

        Raises `Forbidden`, `NotFound`.
        """
        run = self._owned(actor, run_id, {"steps.instance": 1, "steps.name": 1, "steps.program.name": 1})
        names = {step["instance"]: _name(step) for step in run["steps"]}
        messages = self._logs.select(run["_id"], selection)
        return [view.pick(found | {"name": names[str(found["instance"])]}, LOG_MESSAGE) for found in messages]

    def states(self) -> dict[str, int]:
        """How many runs are in each state; one count over an index for each."""
        return {state.value: self._runs.count_documents({"state": state.value}) for state in RunState}

    def steps_per_second(self, now: datetime) -> float:
        """Steps that completed or failed in the minute before `now`, a second."""
        since = now - RECENT
        ended = {"$in": ["$$entry.state", [StepState.COMPLETED.value, StepState.FAILED.value]]}
        recent = {"$gte": ["$$entry.at", since]}
        entries = {"$filter": {"input": "$history", "as": "entry", "cond": {"$and": [recent, ended]}}}
        found = self._runs.aggregate(
            [
                {"$match": {"$or": [{"active": True}, {"finished": {"$gte": since}}], "history": {"$exists": True}}},
                {"$group": {"_id": None, "steps": {"$sum": {"$size": entries}}}},
            ]
        )
        return next((float(row["steps"]) for row in found), 0.0) / RECENT.total_seconds()

    def _owned(self, actor: Account, run_id: str, wanted: Mapping[str, int] | None = None) -> Document:
        actor.require("workflows", "view")
        key = {"_id": object_id(run_id)}
        found = self._runs.find_one(key if actor.is_admin else key | {"accountId": actor.id}, wanted)
        if found is None:
            raise NotFound("run")
        return found


def _record(document: Document) -> Record:
    step, board = document["steps"][document["current"]], document["board"]
    waits = step["state"] == StepState.WAITING.value and step["reason"] is not None
    return _without_none(
        {
            **{name: document.get(name) for name in RUN},
            "name": document["workflow"]["name"],
            "desc": document["workflow"]["desc"],
            "board": _board(board),
            "waitsFor": _without_none(_reason(step["reason"]) or {}) if waits else None,
        }
    )


def _step(step: Document) -> Record:
    return _without_none(
        {
            "_id": step["instance"],
            "name": _name(step),
            "worktyId": step["program"]["id"],
            "worktyName": step["program"]["name"],
            "state": step["state"],
            "attempt": step["attempt"],
            "board": _board(step.get("board")),
            "started": step["started"],
            "finished": step["finished"],
            "progress": step["progress"],
            "worktyState": step.get("worktyState"),
            "checkpointed": step.get("checkpointed"),
            "output": None if step["output"] is None else json.loads(step["output"]),
            "reason": _reason(step["reason"]),
        }
    )


def _name(step: Document) -> str:
    return str(step["name"] or step["program"]["name"])


def _change(entry: Document, steps: Sequence[Document]) -> Record:
    """An entry of the history: what became of a run and one of its steps, in which attempt and on which board."""
    return _without_none(
        {
            "seq": entry["seq"],
            "at": entry["at"],
            "runState": entry["runState"],
            "instance": steps[entry["step"]]["instance"],
            "state": entry["state"],
            "attempt": entry["attempt"],
            "board": _board(entry["board"]),
            "reason": _reason(entry["reason"]),
        }
    )


def _board(board: Document | None) -> Record | None:
    return None if board is None else {"_id": board["id"], "name": board["name"]}


def _reason(reason: Document | None) -> Record | None:
    if reason is None:
        return None
    told = {name: reason.get(name) for name in ("code", "message", "returnCode")}
    return _without_none(told | {"lastOutput": list(reason.get("lastOutput") or ()) or None})


def _without_none(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None}
