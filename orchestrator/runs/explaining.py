"""Explains a run to its owner: reads what is kept of it and of its board, and has it told. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.boards.fitting import waiting_reason
from orchestrator.boards.store import BoardStore
from orchestrator.errors import NotFound
from orchestrator.runs.outlook import Outlook, outlook
from orchestrator.runs.store import RunStore
from orchestrator.runs.story import Moment, missing_changes, story
from orchestrator.runs.vocabulary import Run
from orchestrator.runs.waiting import WaitingRuns
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, View
from orchestrator.values import object_id

#: `missing` counts the first changes that are no longer kept; `now` and `help` are sentences.
EXPLANATION: Entity = {
    "_id": Kind.ID,
    "workflowId": Kind.ID,
    "number": Kind.NUMBER,
    "name": Kind.OTHER,
    "state": Kind.TEXT,
    "missing": Kind.NUMBER,
    "story": Kind.OTHER,
    "now": Kind.TEXT,
    "help": Kind.TEXT,
}


class Explanations:
    """Explains runs of accounts. What belongs to another account does not exist, except for admins."""

    def __init__(self, db: Database[dict[str, Any]], clock: Callable[[], datetime]) -> None:
        self._runs = RunStore(db)
        self._waiting = WaitingRuns(db)
        self._boards = BoardStore(db)
        self._workflows = db["workflows"]
        self._clock = clock

    def of(self, actor: Account, run_id: str, view: View = EVERYTHING) -> Record:
        """The story of a run, what it does or waits for now, and what would help. Raises `Forbidden`, `NotFound`."""
        actor.require("workflows", "view")
        told = self._runs.told(object_id(run_id))
        if told is None or not (actor.is_admin or told.run.account == str(actor.id)):
            raise NotFound("run")
        run, found = told.run, self._outlook(told.run)
        record = {
            "_id": object_id(run.id),
            "workflowId": object_id(run.workflow),
            "number": run.number,
            "name": run.workflow_name,
            "state": run.state.value,
            "missing": missing_changes(told),
            "story": [_moment(moment) for moment in story(told)],
            "now": found.now,
            "help": found.help,
        }
        return view.pick(record, EXPLANATION)

    def _outlook(self, run: Run) -> Outlook:
        if run.state.final:
            there = self._workflows.count_documents({"_id": object_id(run.workflow)}, limit=1) > 0
            return outlook(run, None, None, self._clock(), can_run_again=there)
        if run.board is None and not run.queued:
            return outlook(run, None, None, self._clock())
        boards = self._boards.all()
        slot = None
        if run.queued:
            slot = waiting_reason(boards, run.languages, run.labels), self._waiting.ahead(run)
        board = next((board for board in boards if run.board is not None and board.id == run.board.id), None)
        return outlook(run, board, slot, self._clock())


def _moment(moment: Moment) -> Record:
    told: Record = {"at": moment.at, "text": moment.text}
    if moment.step:
        told["step"] = moment.step
    return told | ({"lines": list(moment.lines)} if moment.lines else {})
