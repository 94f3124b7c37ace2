"""The runs that wait for a slot, as many at once: what they say they wait for, and who comes before whom.

Who is served next is `RunStore`'s; what they wait for is decided in `orchestrator.boards.fitting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

from orchestrator.runs.store import KEPT_NOTES
from orchestrator.runs.vocabulary import Run, StepReason
from workties.messages import encode

#: Runs that wait for a slot; every ticket is positive, and naming it lets the index `queue` find them.
_WAITING = {"queued": True, "ticket": {"$gte": 0}}


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """Runs that wait for a slot with the same need, at the step at the same place, and say the same (None: nothing)."""

    languages: tuple[str, ...]
    labels: tuple[str, ...]
    current: int
    message: str | None


class WaitingRuns:
    """The part of the collection `runs` that waits for slots."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._runs = database["runs"]

    def groups(self) -> list[WaitingGroup]:
        """The runs that wait for a slot, grouped by what they need and say; one query."""
        reason = {"$arrayElemAt": ["$steps.reason", "$current"]}
        key = {"need": "$need", "current": "$current", "reason": reason}
        found = self._runs.aggregate([{"$match": _WAITING}, {"$group": {"_id": key}}])
        return [_group(row["_id"]) for row in found]

    def explain(self, group: WaitingGroup, reason: StepReason, now: datetime, limit: int) -> list[tuple[str, str]]:
        """Have all runs of a group that still wait say `reason`; workflow and account of the first `limit` of them.

        A write beside the engine, which therefore counts the versions on: whoever decided meanwhile decides again.
        """
        need = {"languages": list(group.languages), "labels": list(group.labels)}
        said = f"steps.{group.current}.reason"
        key = {**_WAITING, "need": need, "current": group.current, f"{said}.message": group.message}
        order = [("ticket", ASCENDING), ("waitingSince", ASCENDING)]
        first = self._runs.find(key, {"workflowId": 1, "accountId": 1}, sort=order).limit(limit) if limit > 0 else ()
        found = [(str(document["workflowId"]), str(document["accountId"])) for document in first]
        place = {"seq": None, "at": now, "step": group.current}
        note = {**place, "attempt": None, "board": None, "reason": encode(reason)}
        pushed = {"notes": {"$each": [note], "$slice": -KEPT_NOTES}}
        self._runs.update_many(key, {"$set": {said: encode(reason)}, "$inc": {"version": 1}, "$push": pushed})
        return found

    def ahead(self, run: Run) -> int:
        """How many runs that wait for a slot come before this one in the queue; one count over its index."""
        earlier = {"ticket": run.ticket, "waitingSince": {"$lt": run.waiting_since}}
        before = {"$or": [{"ticket": {"$lt": run.ticket}}, earlier]}
        return self._runs.count_documents({"queued": True, "ticket": {"$gte": 0, "$lte": run.ticket}, **before})


def _group(key: Mapping[str, Any]) -> WaitingGroup:
    need, reason = key["need"], key.get("reason")
    message = None if reason is None else reason["message"]
    return WaitingGroup(tuple(need["languages"]), tuple(need["labels"]), key["current"], message)
