"""How long runs are kept: one that is `past` goes some days after it finished. MongoDB itself removes it.

Past are runs after which their workflow began another one, or whose workflow is gone. The latest run of a workflow
stays: the states of its instances are read from it, and the number of the next run. The store notes who is past, when
it comes to be so; here is the rest: the index that removes them, and runs that were stored before this was noted.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import OperationFailure

log = logging.getLogger(__name__)

_DAY_SECONDS = 86_400
#: MongoDB's own bound, seconds: about 68 years.
_LONGEST = 2**31 - 1
#: The codes of MongoDB for an index that exists with other options.
_OTHER_OPTIONS = frozenset({85, 86})
#: Runs that are read and marked at once.
BATCH = 1000
#: Entry of `settings` which says that older runs are marked.
_MARKED = {"_id": "past-runs-marked"}


def keep_runs(database: Database[dict[str, Any]], days: float) -> None:
    """Have past runs go so many days after they finished, those that are there already too.

    Only for processes that run as a service: the last word counts for all.
    """
    seconds = min(_LONGEST, max(1, round(days * _DAY_SECONDS)))
    index = IndexModel(
        [("finished", ASCENDING)], name="expiry", expireAfterSeconds=seconds, partialFilterExpression={"past": True}
    )
    try:
        database["runs"].create_indexes([index])
    except OperationFailure as error:
        if error.code not in _OTHER_OPTIONS:
            raise
        database.command("collMod", "runs", index={"name": "expiry", "expireAfterSeconds": seconds})
        log.warning("Past runs are kept for %g days from now on, which is another time than before", days)


def mark_older_runs(database: Database[dict[str, Any]]) -> None:
    """Note which runs are past of those that were stored before this was noted. Done once for a database."""
    settings, runs = database["settings"], database["runs"]
    if settings.find_one(_MARKED) is not None:
        return
    unmarked: dict[str, Any] = {"past": {"$exists": False}}
    while found := list(runs.find(unmarked, {"workflowId": 1, "number": 1}, sort=[("_id", ASCENDING)], limit=BATCH)):
        latest = _latest(database, {run["workflowId"] for run in found})
        past = [run["_id"] for run in found if run["number"] < latest.get(run["workflowId"], math.inf)]
        runs.update_many({"_id": {"$in": past}}, {"$set": {"past": True}})
        unmarked["_id"] = {"$gt": found[-1]["_id"]}
    settings.update_one(_MARKED, {"$set": {"done": True}}, upsert=True)


def _latest(database: Database[dict[str, Any]], workflows: set[ObjectId]) -> Mapping[ObjectId, int]:
    """Number of the latest run of each workflow that exists."""
    found = database["workflows"].find({"_id": {"$in": sorted(workflows)}}, {"runNumber": 1})
    return {workflow["_id"]: workflow.get("runNumber", 0) for workflow in found}
