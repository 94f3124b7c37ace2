"""Boards as administrators see and change them (collection `devices` of the REST contract).

What a board says of itself, and who holds its slots, is the affair of `fleet` and `slots`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from bson import ObjectId
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.boards.store import BoardStore, labels_of
from orchestrator.changes import entity_change
from orchestrator.errors import NotFound
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, Selection, View
from orchestrator.values import TEXT_LIMIT, Values, object_id

DEVICE: Entity = {
    "_id": Kind.ID,
    "name": Kind.TEXT,
    "desc": Kind.TEXT,
    "protocol": Kind.TEXT,
    "ip4Address": Kind.TEXT,
    "ip6Address": Kind.TEXT,
    "port": Kind.NUMBER,
    "stateId": Kind.ID,
    "state": Kind.TEXT,
    "disabled": Kind.FLAG,
    "draining": Kind.FLAG,
    "slots": Kind.NUMBER,
    "slotsBusy": Kind.NUMBER,
    "labels": Kind.OTHER,
    "runtimes": Kind.OTHER,
    "platform": Kind.TEXT,
    "agentVersion": Kind.TEXT,
    "lastSeen": Kind.DATE,
    "created": Kind.DATE,
}

#: Fields that a client may set when it adds or changes a board.
CHANGEABLE = ("name", "desc", "labels", "disabled", "draining", "protocol", "ip4Address", "ip6Address", "port")

#: Most slots of a board, as in its heartbeats.
SLOTS_LIMIT = 1024
#: Most labels that people may give a board.
LABELS_LIMIT = 64


class Queues(Protocol):
    """The way down to boards, as far as a new board needs it."""

    def add_board(self, board_id: str) -> None:
        """Declare the queues of a board. Raises `Unavailable`."""


class Consequences(Protocol):
    """What follows for runs when boards change, e.g. `orchestrator.boards.fleet.Fleet`."""

    def lose(self, board_id: str) -> None:
        """Give up every attempt of a board; the runs go on elsewhere."""

    def serve(self) -> None:
        """Lease what has become free to waiting runs."""


class BoardService:
    """Boards of the installation. Only accounts whose roles allow it reach them.

    Args:
        queues: declares the queues of new boards.
        consequences: tells the runs.
        clock: the moment, UTC.
        audience: is told what changes.
    """

    def __init__(
        self,
        db: Database[dict[str, Any]],
        queues: Queues,
        consequences: Consequences,
        clock: Callable[[], datetime],
        audience: Audience = NOBODY,
    ) -> None:
        self._boards = BoardStore(db)
        self._states = db["device_states"]
        self._queues = queues
        self._consequences = consequences
        self._clock = clock
        self._audience = audience

    def find(self, actor: Account, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """All boards. Raises `Forbidden`.

        State and busy slots are computed, so boards are chosen and sorted in memory: an installation has hundreds of
        boards, not millions.
        """
        actor.require("devices", "view")
        states = self._state_ids()
        records = selection.select(_record(document, states) for document in self._boards.documents())
        return [_shown(record, view) for record in records]

    def get(self, actor: Account, board_id: str, view: View = EVERYTHING) -> Record:
        """One board. Raises `Forbidden`, `NotFound`."""
        actor.require("devices", "view")
        document = self._boards.document(object_id(board_id))
        if document is None:
            raise NotFound("device")
        return _shown(_record(document, self._state_ids()), view)

    def add(self, actor: Account, body: Mapping[str, Any]) -> Record:
        """A new board with its queues, `disconnected` until it is heard; then it says itself how many slots it has.

        Raises `Forbidden`, `ValidationFailed` (no name, or one in use), `Unavailable` (nothing is stored then).
        """
        actor.require("devices", "create")
        values = Values(body)
        values.required("name")
        given = _checked(values, body)
        if "slots" in values:
            given["slots"] = _whole(values, "slots", body["slots"], SLOTS_LIMIT)
        values.done()
        self._boards.refuse_taken(given["name"])
        key = ObjectId()
        # First the queues: a board that is known must be reachable. Those of a board that is not stored harm nobody.
        self._queues.add_board(str(key))
        self._boards.add(given["name"], self._clock(), key, given)
        self._tell(actor, key)
        return self.get(actor, str(key))

    def change(self, actor: Account, board_id: str, body: Mapping[str, Any]) -> Record:
        """Change a board. Raises `Forbidden`, `NothingToUpdate`, `ValidationFailed`, `NotFound`."""
        actor.require("devices", "update")
        values = Values(body)
        values.changes(*CHANGEABLE, required=("name",))
        key = object_id(board_id)
        if self._boards.document(key) is None:
            raise NotFound("device")
        given = _checked(values, body)
        values.done()
        document = self._boards.change(key, given)
        if document is None:
            raise NotFound("device")
        self._tell(actor, key)
        self._consequences.serve()
        return _shown(_record(document, self._state_ids()), EVERYTHING)

    def delete(self, actor: Account, board_id: str) -> None:
        """Remove a board; its attempts count as lost, and their runs go on elsewhere. Raises `Forbidden`, `NotFound`.

        Its queues stay until somebody removes its account on the broker: an agent that still runs is told there to
        forget its attempts. If this process dies before the runs are told, reconciliation tells them.
        """
        actor.require("devices", "delete")
        key = object_id(board_id)
        if not self._boards.remove(key):
            raise NotFound("device")
        self._tell(actor, key, deleted=True)
        self._consequences.lose(str(key))

    def _tell(self, actor: Account, key: ObjectId, *, deleted: bool = False) -> None:
        self._audience.entity_changed(entity_change(EntityKind.BOARD, key, None, actor, deleted=deleted))

    def _state_ids(self) -> Mapping[str, ObjectId]:
        return {row["name"]: row["_id"] for row in self._states.find()}


def _record(document: Mapping[str, Any], states: Mapping[str, ObjectId]) -> Record:
    state = "disconnected"
    if document["connected"]:
        state = "running" if document["leases"] else "waiting"
    seen = {name: document[name] for name in ("platform", "agentVersion", "lastSeen") if document.get(name)}
    old = {"ip4Address": "", "ip6Address": "", "port": 0}
    plain = {name: document[name] for name in DEVICE if name in document and name not in seen}
    return {
        **old,
        **plain,
        **seen,
        "state": state,
        "stateId": states[state],
        "slotsBusy": len(document["leases"]),
        "labels": sorted(labels_of(document)),
    }


def _shown(record: Record, view: View) -> Record:
    shown = view.pick(record, DEVICE)
    if view.embeds("stateId", "state"):
        shown["stateId"] = {"_id": record["stateId"], "name": record["state"]}
    return shown


def _checked(values: Values, body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were sent, as they are stored."""
    found: dict[str, Any] = {}
    if "name" in values:
        found["name"] = values.text("name")
    if "desc" in values:
        found["desc"] = values.text("desc", limit=TEXT_LIMIT)
    if "protocol" in values:
        found["protocol"] = values.text("protocol") or "amqp"
    if "labels" in values:
        found["givenLabels"] = _labels(values)
    for name in ("ip4Address", "ip6Address"):
        if name in values:
            found[name] = _address(values, name)
    for name in ("disabled", "draining"):
        if name in values:
            found[name] = _flag(values, name, body[name])
    if "port" in values:
        found["port"] = _whole(values, "port", body["port"], 65535)
    return found


def _labels(values: Values) -> list[str]:
    labels = values.texts("labels", [])
    if len(labels) > LABELS_LIMIT or not all(label.strip() and len(label) <= 64 for label in labels):
        values.wrong(f"Path `labels` must be up to {LABELS_LIMIT} texts of 1 to 64 characters.")
    return sorted(set(labels))


def _address(values: Values, name: str) -> str:
    text = values.text(name)
    if text:
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            found = None
        if found is None or found.version != int(name[2]):
            values.wrong(f"Path `{name}` is not an IPv{name[2]} address.")
    return text


def _flag(values: Values, name: str, value: object) -> bool:
    # In a query `true` is a text.
    found = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        values.wrong(f"Path `{name}` is not true or false.")
        return False
    return found


def _whole(values: Values, name: str, value: object, most: int) -> int:
    found = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 6 else value
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= most:
        values.wrong(f"Path `{name}` is not a whole number from 0 to {most}.")
        return 0
    return found
