"""Keeps who changed what, from where, with which result, and which logins were refused; admins read it.

An entry has ids and names, never values that somebody sent. It is forgotten after a number of days.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import PyMongoError

from orchestrator.accounts.account import Account
from orchestrator.accounts.peer import Peer
from orchestrator.errors import brief
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, Selection, View
from orchestrator.values import NAME_LIMIT

log = logging.getLogger(__name__)

#: What an entry has. `result` is the status of the answer, as a text.
ENTRY: Entity = {
    "_id": Kind.ID,
    "accountId": Kind.ID,
    "email": Kind.TEXT,
    "operation": Kind.TEXT,
    "entity": Kind.TEXT,
    "entityId": Kind.ID,
    "address": Kind.TEXT,
    "result": Kind.TEXT,
    "created": Kind.DATE,
}

NEWEST_FIRST = [("created", -1), ("_id", -1)]

#: Operation of a login that was refused.
LOGIN = "login"


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done: an operation, and the kind and id of what it was done to, as far as it has one."""

    operation: str
    entity: str
    entity_id: ObjectId | None
    result: str


class AuditService:
    """The audit trail. Entries are kept for `days`."""

    def __init__(self, db: Database[dict[str, Any]], clock: Callable[[], datetime], days: float) -> None:
        self._entries = db["audit"]
        self._clock = clock
        self._kept = timedelta(days=days)

    def select(self, actor: Account, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """Entries, newest first unless sorted otherwise. Raises `Forbidden` for all but admins."""
        actor.require_admin()
        found = self._entries.find(
            dict(selection.where),
            sort=selection.mongo_sort() if selection.sort else NEWEST_FIRST,
            skip=selection.skip,
            limit=selection.limit,
        )
        return [view.pick(entry, ENTRY) for entry in found]

    def done(self, actor: Account, deed: Deed, peer: Peer) -> None:
        """Keep that an account did something."""
        about = {"entity": deed.entity, **({"entityId": deed.entity_id} if deed.entity_id else {})}
        who = {"accountId": actor.id, "email": actor.email}
        self._keep(who | {"operation": deed.operation, **about, "result": deed.result}, peer)

    def login_refused(self, name: str, peer: Peer, result: str) -> None:
        """Keep that a login was refused."""
        # Not what is no e-mail: people type passwords there.
        email = name[:NAME_LIMIT] if "@" in name else ""
        self._keep({"email": email, "operation": LOGIN, "entity": "accounts", "result": result}, peer)

    def _keep(self, entry: dict[str, Any], peer: Peer) -> None:
        """What was done is done: that it cannot be kept is told to the log, not to whoever did it."""
        now = self._clock()
        entry |= {"address": peer.address, "created": now, "expires": now + self._kept}
        try:
            self._entries.insert_one(entry)
        except PyMongoError as error:
            log.error(
                "Not in the audit trail (%s): %s by %r from %s at %s",
                brief(error),
                entry["operation"],
                entry["email"],
                peer.address,
                now.isoformat(),
            )
