"""Runs in MongoDB: load, compare-and-set together with the outbox, and queries in the engine's words.

The only module of the engine that knows the collection `runs`. A document is written only by compare-and-set on its
`version`. Its outbox is emptied by one process at a time, the *drainer*: whoever writes while nobody drains becomes it,
and who writes while somebody drains leaves the effects to that one. So effects are carried out in the order of the
decisions; a drainer that dies is followed by another one after `DRAIN_SECONDS`. Whether a run has not ended (`active`),
has a slot (`held`), or waits for a moment (`timed`, `due`) is stored for indexes that hold no history; `boards` are all
that ever had an attempt. `past` says that it is not the latest run of a workflow (see `retention`), and is no
part of a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from orchestrator.runs.decision import Announce, Decision, Effect
from orchestrator.runs.documents import changes, effect_document, effect_from, history_entry, run_document, run_from
from orchestrator.runs.vocabulary import Run, StepState
from orchestrator.values import is_id
from workties.messages import encode

#: How long (seconds) a drainer may take before another process may carry out what is left.
DRAIN_SECONDS = 5.0
#: How many of a run's last changes of state are kept with it, for clients that missed some of them.
KEPT_CHANGES = 500

#: How many notes of what no change of state told are kept with a run, for the story of the run.
KEPT_NOTES = 100

#: The engine decides without history and notes.
_DECIDED = {"history": 0, "notes": 0}

INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "runs": [
        IndexModel([("workflowId", ASCENDING), ("number", DESCENDING)], unique=True, name="workflow_number"),
        IndexModel(
            [("ticket", ASCENDING), ("waitingSince", ASCENDING)],
            partialFilterExpression={"queued": True},
            name="queue",
        ),
        IndexModel([("drainUntil", ASCENDING)], partialFilterExpression={"draining": True}, name="outbox"),
        IndexModel([("board.id", ASCENDING)], partialFilterExpression={"held": True}, name="board"),
        IndexModel([("due", ASCENDING)], partialFilterExpression={"timed": True}, name="timers"),
        IndexModel([("active", ASCENDING)], partialFilterExpression={"active": True}, name="active"),
        IndexModel([("finished", ASCENDING)], name="by_finish"),
        IndexModel([("created", DESCENDING), ("_id", DESCENDING)], name="by_creation"),
        IndexModel([("accountId", ASCENDING), ("created", DESCENDING), ("_id", DESCENDING)], name="of_account"),
        IndexModel([("workflowId", ASCENDING), ("created", DESCENDING), ("_id", DESCENDING)], name="of_workflow"),
        IndexModel([("state", ASCENDING), ("created", DESCENDING), ("_id", DESCENDING)], name="by_state"),
    ],
}

_ORIGIN = dict.fromkeys(("workflowId", "accountId", "boards", "steps.instance", "steps.attempt", "steps.board"), 1)


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as it was loaded: its version, who drains its outbox until when, and how many effects it ever had."""

    run: Run
    version: int
    drainer: str | None
    drain_until: datetime | None
    outbox: tuple[tuple[int, Effect], ...]
    numbered: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits for a slot, and what a board must have for it."""

    id: str
    ticket: int
    languages: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A run with what is kept of its past, each in order: changes of state, and notes of what none of them told."""

    run: Run
    history: Sequence[Mapping[str, Any]]
    notes: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class OriginStep:
    """A step as far as a board may speak of it: its last attempt, and the board that this went to."""

    attempt: int
    board: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose a run is, and who may speak of it: its steps by instance, and every board that ever had an attempt."""

    id: ObjectId
    workflow: ObjectId
    account: ObjectId
    steps: Mapping[str, OriginStep]
    boards: frozenset[str]


class RunStore:
    """The collection `runs`."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._runs = database["runs"]
        self._queue = database["queue"]

    # --- one run

    def insert(self, decision: Decision, drainer: str, now: datetime) -> Stored | None:
        """Store a new run with its outbox; None if the workflow has a run of that number already."""
        document = run_document(decision.run) | _drain(drainer, now, decision.effects, 0)
        document["version"] = 1
        document["held"], document["active"], document["past"] = False, True, False
        document["boards"] = sorted(_boards(decision.run))
        document["outbox"] = _numbered(decision.effects, 0)
        document["history"] = _history(decision, now)
        try:
            self._runs.insert_one(document)
        except DuplicateKeyError:
            return None
        return _stored(document)

    def load(self, run_id: str) -> Stored | None:
        """The run as it is now; None if there is none."""
        document = self._runs.find_one({"_id": ObjectId(run_id)}, _DECIDED) if ObjectId.is_valid(run_id) else None
        return None if document is None else _stored(document)

    def latest(self, workflow_id: str) -> Stored | None:
        """The latest run of a workflow, or None."""
        key = {"workflowId": ObjectId(workflow_id)}
        document = self._runs.find_one(key, _DECIDED, sort=[("number", DESCENDING)])
        return None if document is None else _stored(document)

    def save(self, stored: Stored, decision: Decision, token: str, now: datetime) -> Stored | None:
        """Compare-and-set: write what the decision changed, and its effects, if nobody wrote meanwhile.

        Whoever finds no live drainer becomes the drainer, under `token`. Returns the run as stored, or None if
        somebody else was first.
        """
        mine = stored.drainer is None or (stored.drain_until is not None and stored.drain_until <= now)
        changed = changes(stored.run, decision.run)
        changed["held"], changed["active"] = decision.run.board is not None, not decision.run.state.final
        changed["version"] = stored.version + 1
        update: dict[str, Any] = {"$set": changed}
        if joined := _boards(decision.run) - _boards(stored.run):
            update["$addToSet"] = {"boards": {"$each": sorted(joined)}}
        if (note := _note(stored.run, decision, now)) is not None:
            update["$push"] = {"notes": {"$each": [note], "$slice": -KEPT_NOTES}}
        if decision.effects or stored.outbox:
            if mine:
                changed |= _drain(token, now, decision.effects, stored.numbered)
            changed["numbered"] = stored.numbered + len(decision.effects)
            update.setdefault("$push", {})["outbox"] = {"$each": _numbered(decision.effects, stored.numbered)}
            if history := _history(decision, now):
                update["$push"]["history"] = {"$each": history, "$slice": -KEPT_CHANGES}
        document = self._runs.find_one_and_update(
            {"_id": ObjectId(stored.run.id), "version": stored.version, "drainer": stored.drainer},
            update,
            projection={"drainer": 1, "drainUntil": 1, "outbox": 1, "numbered": 1},
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else _stored(document | {"version": stored.version + 1}, decision.run)

    # --- outbox

    def drained(self, stored: Stored, token: str) -> Stored | None:
        """Empty the outbox of what `stored` had in it and stop draining.

        Returns None when that was all; otherwise the run as it is now, with the effects that were added meanwhile and
        that are the drainer's to carry out as well (an empty outbox if another process has taken over).
        """
        key = {"_id": ObjectId(stored.run.id), "drainer": token}
        done = self._runs.update_one(key | {"version": stored.version}, {"$set": _idle()})
        if done.matched_count:
            return None
        last = max((number for number, _ in stored.outbox), default=0)
        document = self._runs.find_one_and_update(
            key, {"$pull": {"outbox": {"n": {"$lte": last}}}}, _DECIDED, return_document=ReturnDocument.AFTER
        )
        return None if document is None else _stored(document)

    def abandoned(self, now: datetime, limit: int = 100) -> list[str]:
        """Ids of runs whose drainer did not finish in time."""
        found = self._runs.find({"draining": True, "drainUntil": {"$lte": now}}, {"_id": 1}).limit(limit)
        return [str(document["_id"]) for document in found]

    def take_over(self, run_id: str, token: str, now: datetime) -> Stored | None:
        """Become the drainer of an abandoned outbox; None if somebody else did."""
        document = self._runs.find_one_and_update(
            {"_id": ObjectId(run_id), "draining": True, "drainUntil": {"$lte": now}},
            {"$set": {"drainer": token, "drainUntil": now + timedelta(seconds=DRAIN_SECONDS)}},
            _DECIDED,
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else _stored(document)

    # --- many runs

    def next_waiting(self, runtimes: Iterable[str], labels: Iterable[str]) -> Waiting | None:
        """The run that has waited longest, by ticket, among those that a board with these would fit."""
        document = self._runs.find_one(
            {
                "queued": True,
                "need.languages": {"$not": {"$elemMatch": {"$nin": sorted(runtimes)}}},
                "need.labels": {"$not": {"$elemMatch": {"$nin": sorted(labels)}}},
            },
            {"ticket": 1, "need": 1},
            sort=[("ticket", ASCENDING), ("waitingSince", ASCENDING)],
        )
        return None if document is None else _waiting(document)

    def holding(self, board_id: str | None = None) -> list[Run]:
        """Every run that holds a slot, of any board or of this one."""
        key = {"held": True} if board_id is None else {"held": True, "board.id": board_id}
        found = self._runs.find(key, _DECIDED)
        return [run_from(document) for document in found]

    def due(self, now: datetime, limit: int = 500) -> list[str]:
        """Ids of runs whose timers are due, those that are so for the longest time first."""
        found = self._runs.find({"timed": True, "due": {"$lte": now}}, {"_id": 1}).sort("due", ASCENDING).limit(limit)
        return [str(document["_id"]) for document in found]

    def steps(self, run_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Run]:
        """These runs, in one query."""
        found = self._runs.find({"_id": {"$in": list(run_ids)}}, _DECIDED)
        return {document["_id"]: run_from(document) for document in found}

    def told(self, run_id: ObjectId) -> Told | None:
        """A run with its last `KEPT_CHANGES` changes of state and `KEPT_NOTES` notes; None if there is no such run."""
        document = self._runs.find_one({"_id": run_id})
        if document is None:
            return None
        return Told(run_from(document), document.get("history") or (), document.get("notes") or ())

    def origins(self, run_ids: Iterable[str]) -> Mapping[str, Origin]:
        """Of these runs those that exist, by their ids, in one query."""
        ids = [ObjectId(run_id) for run_id in run_ids if is_id(run_id)]
        return {str(document["_id"]): _origin(document) for document in self._runs.find({"_id": {"$in": ids}}, _ORIGIN)}

    def existing(self, run_ids: Iterable[str]) -> frozenset[str]:
        """Those of these runs that exist, in one query."""
        ids = {ObjectId(run_id) for run_id in run_ids if is_id(run_id)}
        return frozenset(
            str(document["_id"]) for document in self._runs.find({"_id": {"$in": sorted(ids)}}, {"_id": 1})
        )

    def active_with_workty(self, workty_id: str) -> list[str]:
        """Ids of the runs that have not ended and have still to run an instance of this workty."""
        ended = [state.value for state in StepState if state.final]
        needing = {"program.id": workty_id, "state": {"$nin": ended}}
        found = self._runs.find({"active": True, "steps": {"$elemMatch": needing}}, {"_id": 1})
        return [str(document["_id"]) for document in found]

    def rename(self, workflow_id: str, name: str, desc: str) -> None:
        """Tell the runs of a workflow its new name; not a decision, so it needs no compare-and-set."""
        workflow = {"name": name, "desc": desc}
        self._runs.update_many({"workflowId": ObjectId(workflow_id)}, {"$set": {"workflow": workflow}})

    def followed(self, workflow_id: str, number: int) -> None:
        """Note that the run of this number has begun, so that the one before it is past."""
        key = {"workflowId": ObjectId(workflow_id), "number": number - 1}
        self._runs.update_one(key, {"$set": {"past": True}})

    def workflow_gone(self, workflow_id: str) -> None:
        """Note that a workflow is gone, so that all of its runs are past."""
        self._runs.update_many({"workflowId": ObjectId(workflow_id), "past": {"$ne": True}}, {"$set": {"past": True}})

    # --- the fair queue

    def ticket(self, account_id: str) -> int:
        """The next place of an account in the fair queue.

        Start-time fair queuing: an account's runs get one round each, and an account that had nothing waiting joins at
        the round that is being served. Equal tickets are served first come first served.
        """
        served = self._queue.find_one({"_id": "served"}) or {"ticket": 0}
        key = {"_id": account_id}
        self._queue.update_one(key, {"$max": {"ticket": served["ticket"]}}, upsert=True)
        document = self._queue.find_one_and_update(
            key, {"$inc": {"ticket": 1}}, return_document=ReturnDocument.AFTER, upsert=True
        )
        return int((document or {})["ticket"])

    def served(self, ticket: int) -> None:
        """A run with this ticket has got its slot: new accounts join at its round."""
        self._queue.update_one({"_id": "served"}, {"$max": {"ticket": ticket}}, upsert=True)


def _history(decision: Decision, now: datetime) -> list[dict[str, Any]]:
    announced = [effect for effect in decision.effects if isinstance(effect, Announce)]
    places = {step.instance: index for index, step in enumerate(decision.run.steps)} if announced else {}
    return [history_entry(effect, places[effect.step["instance"]], now) for effect in announced]


def _note(before: Run, decision: Decision, now: datetime) -> dict[str, Any] | None:
    """What became of a waiting step without a change of state that told it, e.g. that it was sent; None for nothing."""
    run, step = decision.run, decision.run.step
    if step.state is not StepState.WAITING:
        return None
    told = [effect.step for effect in decision.effects if isinstance(effect, Announce)]
    known = next((view for view in reversed(told) if view["instance"] == step.instance), None)
    if known is None:
        was = before.steps[run.current]
        known = {"reason": None if was.reason is None else encode(was.reason), "attempt": was.attempt}
    reason = None if step.reason is None else encode(step.reason)
    if (reason, step.attempt) == (known["reason"], known["attempt"]):
        return None
    board = None if step.board is None else {"id": step.board.id, "name": step.board.name}
    place = {"seq": run.seq, "at": now, "step": run.current}
    return {**place, "attempt": step.attempt, "board": board, "reason": reason}


def _boards(run: Run) -> frozenset[str]:
    return frozenset(step.board.id for step in run.steps if step.board is not None)


def _origin(document: Mapping[str, Any]) -> Origin:
    return Origin(
        id=document["_id"],
        workflow=document["workflowId"],
        account=document["accountId"],
        steps={
            step["instance"]: OriginStep(step["attempt"], (step["board"] or {}).get("id")) for step in document["steps"]
        },
        boards=frozenset(document.get("boards") or ()),
    )


def _drain(token: str, now: datetime, effects: Sequence[Effect], numbered: int) -> dict[str, Any]:
    return {
        "drainer": token,
        "draining": True,
        "drainUntil": now + timedelta(seconds=DRAIN_SECONDS),
        "numbered": numbered + len(effects),
    }


def _idle() -> dict[str, Any]:
    return {"outbox": [], "drainer": None, "draining": False, "drainUntil": None}


def _numbered(effects: Sequence[Effect], numbered: int) -> list[dict[str, Any]]:
    return [{"n": numbered + at, **effect_document(effect)} for at, effect in enumerate(effects, start=1)]


def _stored(document: Mapping[str, Any], run: Run | None = None) -> Stored:
    return Stored(
        run=run_from(document) if run is None else run,
        version=document["version"],
        drainer=document["drainer"],
        drain_until=document["drainUntil"],
        outbox=tuple((entry["n"], effect_from(entry)) for entry in document["outbox"]),
        numbered=document["numbered"],
    )


def _waiting(document: Mapping[str, Any]) -> Waiting:
    need = document["need"]
    return Waiting(str(document["_id"]), document["ticket"], tuple(need["languages"]), tuple(need["labels"]))
