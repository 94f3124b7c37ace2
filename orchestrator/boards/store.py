"""Boards in MongoDB (collection `devices`): records, heartbeats, leases. The only module that knows the collection.

A lease is taken and given back by one atomic update; the number of slots is compared in the same update, so no counter
can drift from the list of leases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from orchestrator.errors import ValidationFailed
from workties.messages import ActiveAttempt, Bye, Heartbeat, encode

INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "devices": [
        IndexModel([("name", ASCENDING)], unique=True, name="name"),
        IndexModel([("connected", ASCENDING), ("lastSeen", ASCENDING)], name="connected"),
    ]
}


#: At most one heartbeat of a board that changes nothing is told to live clients in this time (live API contract,
#: section 7).
TOLD_EVERY = timedelta(seconds=10)

#: How many starts (boots) of a board's agent are remembered, so that late heartbeats of ended ones are known as such.
KEPT_BOOTS = 16

#: What a heartbeat lists may be long and is nobody's affair but the reconciler's.
_SHOWN: Mapping[str, int] = {"active": 0, "boots": 0}


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot that a run holds since `at`."""

    run: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """What a heartbeat changed.

    Attributes:
        before: the board before; None if this heartbeat is an old one, which changed nothing.
        after: the board as it is now.
        news: whether live clients are to be told of it: somebody sees it differently now, or it is the one heartbeat
            in `TOLD_EVERY` that is told though nothing has changed.
    """

    before: Board | None
    after: Board
    news: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A board as the server knows it. `last_seen` is the server's clock; `active` is what the last heartbeat listed."""

    id: str
    name: str
    connected: bool
    disabled: bool
    draining: bool
    slots: int
    leases: tuple[Lease, ...]
    runtimes: frozenset[str]
    labels: frozenset[str]
    last_seen: datetime | None
    active: tuple[ActiveAttempt, ...]

    @property
    def state(self) -> str:
        """`disconnected`, `waiting` or `running` (live API contract, section 7)."""
        if not self.connected:
            return "disconnected"
        return "running" if self.leases else "waiting"

    @property
    def available(self) -> bool:
        """Whether it may take something new, a free slot provided."""
        return self.connected and not self.disabled and not self.draining

    @property
    def free(self) -> int:
        """Slots that nobody has leased."""
        return max(0, self.slots - len(self.leases))

    def fits(self, languages: Iterable[str], labels: Iterable[str]) -> bool:
        """Whether it has these runtimes and labels."""
        return self.runtimes.issuperset(languages) and self.labels.issuperset(labels)


class BoardStore:
    """The collection `devices`."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._boards = database["devices"]

    def add(
        self,
        name: str,
        now: datetime,
        board_id: ObjectId | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> Board:
        """Add a board, `disconnected` until it is heard. Raises `ValidationFailed` if the name is in use.

        Args:
            given: further fields of the record that people choose, e.g. `desc`; `slots` is what is shown until the
                board says how many it has.
        """
        document = {
            "_id": board_id or ObjectId(),
            "desc": "",
            "protocol": "amqp",
            "ip4Address": "",
            "ip6Address": "",
            "port": 0,
            "givenLabels": [],
            "slots": 0,
            **(given or {}),
            "name": name,
            "created": now,
            "disabled": False,
            "draining": False,
            "connected": False,
            "leases": [],
            "runtimes": [],
            "labels": [],
            "active": [],
            "boots": [],
        }
        try:
            self._boards.insert_one(document)
        except DuplicateKeyError as error:
            raise _in_use(name) from error
        return _board(document)

    def refuse_taken(self, name: str) -> None:
        """Raises `ValidationFailed` if a board has this name."""
        if self._boards.find_one({"name": name}, {"_id": 1}) is not None:
            raise _in_use(name)

    def change(self, board_id: ObjectId, changes: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Set fields that people choose; the document afterwards, None if there is no such board.

        Raises `ValidationFailed` if the name is in use.
        """
        try:
            return self._boards.find_one_and_update(
                {"_id": board_id}, {"$set": dict(changes)}, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError as error:
            raise _in_use(changes["name"]) from error

    def remove(self, board_id: ObjectId) -> bool:
        """Remove a board and its leases; whether there was one. Nothing can be leased of it afterwards."""
        return self._boards.delete_one({"_id": board_id}).deleted_count > 0

    def document(self, board_id: ObjectId) -> Mapping[str, Any] | None:
        """The record of a board as it is stored, or None."""
        return self._boards.find_one({"_id": board_id}, _SHOWN)

    def documents(self) -> list[Mapping[str, Any]]:
        """The records of all boards as they are stored, in order of creation."""
        return list(self._boards.find({}, _SHOWN, sort=[("created", ASCENDING), ("_id", ASCENDING)]))

    def states(self) -> Counter[str]:
        """How many boards there are in each state that has any."""
        return Counter(board.state for board in self.all())

    def all(self) -> list[Board]:
        """Every board."""
        return [_board(document) for document in self._boards.find({}, sort=[("_id", ASCENDING)])]

    def known(self, board_id: str) -> bool:
        """Whether there is such a board."""
        return (
            ObjectId.is_valid(board_id) and self._boards.find_one({"_id": ObjectId(board_id)}, {"_id": 1}) is not None
        )

    # --- life

    def heard(self, heartbeat: Heartbeat, now: datetime) -> Heard | None:
        """Note a heartbeat, unless one that was sent later, or one of a later boot, was noted.

        None if there is no such board.
        """
        if not ObjectId.is_valid(heartbeat.board):
            return None
        key: dict[str, Any] = {"_id": ObjectId(heartbeat.board)}
        fresh = _vitals(heartbeat) | {"connected": True, "lastSeen": now}
        before = self._note(key | {"boot": heartbeat.boot, "heartbeat": {"$lt": heartbeat.seq}}, {"$set": fresh})
        if before is None:
            first = key | {"boot": {"$ne": heartbeat.boot}, "boots": {"$ne": heartbeat.boot}}
            boots = {"$each": [heartbeat.boot], "$slice": -KEPT_BOOTS}
            before = self._note(first, {"$set": fresh, "$push": {"boots": boots}})
        if before is None:
            present = self._boards.find_one(key)
            return None if present is None else Heard(None, _board(present))
        changed = any(before.get(name) != fresh[name] for name in _SEEN)
        return Heard(_board(before), _board(before | fresh), self._claim(before, now) or changed)

    def _note(self, wanted: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change a board that is as wanted; its document before, None if there is none."""
        return self._boards.find_one_and_update(wanted, update, return_document=ReturnDocument.BEFORE)

    def _claim(self, board: Mapping[str, Any], now: datetime) -> bool:
        """Whether it falls to the caller to tell a heartbeat that was noted on `board`, of all who hear heartbeats."""
        told = board.get("told")
        if told is not None and now - told < TOLD_EVERY:
            return False
        return self._boards.update_one({"_id": board["_id"], "told": told}, {"$set": {"told": now}}).modified_count > 0

    def disconnected(self, board_id: str, last_seen: datetime | None) -> bool:
        """Note that a board is silent, unless it was heard after `last_seen`; whether it was noted."""
        key = {"_id": ObjectId(board_id), "connected": True, "lastSeen": last_seen}
        return self._boards.update_one(key, {"$set": {"connected": False}}).modified_count > 0

    def left(self, bye: Bye) -> bool:
        """Note that a board said bye in its present boot; whether it was noted."""
        key = {"_id": ObjectId(bye.board), "connected": True, "boot": bye.boot}
        last = {"connected": False, "active": [], "heartbeat": bye.seq}
        return self._boards.update_one(key, {"$set": last}).modified_count > 0

    def leaving(self, board_id: str) -> bool:
        """Note that a board's agent stops, until the next heartbeat; whether that was news."""
        key = {"_id": ObjectId(board_id), "connected": True}
        return self._boards.update_one(key, {"$set": {"connected": False}}).modified_count > 0

    # --- slots

    def available(self) -> list[Board]:
        """Boards that may take something new, free slots or not."""
        found = self._boards.find({"connected": True, "disabled": False, "draining": False})
        return [_board(document) for document in found]

    def lease(self, board: Board, run_id: str, now: datetime) -> bool:
        """Lease a slot to a run, in one atomic step; False if none is free any more or the board has changed."""
        if board.slots < 1:
            return False
        taken = self._boards.update_one(
            {
                "_id": ObjectId(board.id),
                "connected": True,
                "disabled": False,
                "draining": False,
                "slots": board.slots,
                f"leases.{board.slots - 1}": {"$exists": False},
                "leases.run": {"$ne": run_id},
            },
            {"$push": {"leases": {"run": run_id, "at": now}}},
        )
        return taken.modified_count > 0

    def release(self, board_id: str, run_id: str) -> bool:
        """Give the slot of a run back; whether it had one."""
        released = self._boards.update_one({"_id": ObjectId(board_id)}, {"$pull": {"leases": {"run": run_id}}})
        return released.modified_count > 0


#: Of what a heartbeat says: what people see of it at once. All else they see with the next heartbeat that is told.
_SEEN = ("connected", "slots", "runtimes", "labels", "agentVersion", "platform")


def _vitals(heartbeat: Heartbeat) -> dict[str, Any]:
    return {
        "boot": heartbeat.boot,
        "heartbeat": heartbeat.seq,
        "slots": heartbeat.slots,
        "runtimes": list(heartbeat.runtimes),
        "labels": list(heartbeat.labels),
        "active": [encode(attempt) for attempt in heartbeat.active],
        "load": heartbeat.load,
        "memory": heartbeat.memory,
        "temperature": heartbeat.temperature,
        "disk": heartbeat.disk,
        "agentVersion": heartbeat.agent_version,
        "platform": heartbeat.platform,
        "queued": heartbeat.queued,
    }


def labels_of(document: Mapping[str, Any]) -> frozenset[str]:
    """Labels of a board: what it says itself, and what people gave it."""
    return frozenset(document["labels"]) | frozenset(document.get("givenLabels") or ())


def _in_use(name: str) -> ValidationFailed:
    return ValidationFailed([f"Path `name` is already in use: a board '{name}' exists."])


def _board(document: Mapping[str, Any]) -> Board:
    return Board(
        id=str(document["_id"]),
        name=document["name"],
        connected=document["connected"],
        disabled=document["disabled"],
        draining=document["draining"],
        slots=document["slots"],
        leases=tuple(Lease(lease["run"], lease["at"]) for lease in document["leases"]),
        runtimes=frozenset(document["runtimes"]),
        labels=labels_of(document),
        last_seen=document.get("lastSeen"),
        active=tuple(ActiveAttempt(**attempt) for attempt in document["active"]),
    )
