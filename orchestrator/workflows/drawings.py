"""How clients draw workflows: one text for each account and workflow, which the core keeps and does not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.changes import entity_change
from orchestrator.errors import BadParameter, NotFound, TooLarge
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.selection import EVERYTHING, Entity, Kind, Record
from orchestrator.values import encodable
from orchestrator.workflows.reading import Reader

DRAWING: Entity = {"workflowId": Kind.ID, "json": Kind.TEXT}

#: Longest text, bytes.
MOST_BYTES = 1024 * 1024


class DrawingService:
    """Keeps drawings. They go with their workflow (`Removal`) and with their account.

    Args:
        audience: is told what changes.
    """

    def __init__(self, db: Database[dict[str, Any]], reader: Reader, audience: Audience = NOBODY) -> None:
        self._drawings = db["ui_settings"]
        self._reader = reader
        self._audience = audience

    def load(self, actor: Account, workflow_id: str) -> Record | None:
        """The account's drawing of a workflow; None if there is none. Raises `Forbidden`, `NotFound`."""
        actor.require("uisettings", "view")
        workflow = self._reader.owned(actor, workflow_id)
        found = self._drawings.find_one({"accountId": actor.id, "workflowId": workflow["_id"]})
        return None if found is None else EVERYTHING.pick(found, DRAWING)

    def save(self, actor: Account, workflow_id: str, text: object) -> None:
        """Keep a text as the account's drawing of a workflow, instead of the one before.

        Raises `Forbidden`, `NotFound`, `TooLarge` without a text or for one over `MOST_BYTES`, `BadParameter` for
        what is no text.
        """
        actor.require("uisettings", "update")
        workflow = self._reader.owned(actor, workflow_id)
        key: Mapping[str, Any] = {"accountId": actor.id, "workflowId": workflow["_id"]}
        # One write, so that of two savers the last one wins whole. The database repeats it by itself if both insert.
        self._drawings.update_one(key, {"$set": {"json": _drawing(text)}}, upsert=True)
        try:
            # A workflow that was deleted meanwhile took its drawings along before this one was there.
            self._reader.owned(actor, workflow_id)
        except NotFound:
            self._drawings.delete_one(key)
            raise
        self._audience.entity_changed(entity_change(EntityKind.UI_SETTINGS, workflow["_id"], actor.id, actor))


def _drawing(text: object) -> str:
    if not text:
        raise TooLarge("The document is absent or empty")
    if not isinstance(text, str) or not encodable(text):
        raise BadParameter("json: expected a text")
    if len(text.encode()) > MOST_BYTES:
        raise TooLarge
    return text
