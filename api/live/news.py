"""Tells clients that entities changed: reads what they are now, and emits it to everybody who may see it.

One thread does it, in the order of the changes, so that no request waits for reading or for the message queue. An
entity is read when it is told: of two changes that meet, the later message has the newer state.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from typing import Any

from pymongo.errors import PyMongoError

from api.live.announcer import Emit
from api.live.sessions import EVERYBODY
from orchestrator.errors import OrchestratorError, brief
from orchestrator.live import EntityChange, EntityKind

log = logging.getLogger("workty.api")

#: By kind: context of the namespace, name in events, and name in payloads (live API contract, section 4).
NAMES: Mapping[EntityKind, tuple[str, str, str]] = {
    EntityKind.ACCOUNT: ("accounts", "account", "account"),
    EntityKind.WORKFLOW: ("workflows", "workflow", "workflow"),
    EntityKind.WORKTY: ("workties", "workty", "workty"),
    EntityKind.BOARD: ("devices", "device", "device"),
    EntityKind.PAYMENT: ("payments", "payment", "paymentTransaction"),
    EntityKind.UI_SETTINGS: ("uisettings", "uiSettings", "uiSettings"),
}

#: Changes that may wait to be told; further ones are dropped, and clients see them when they read again.
MOST_WAITING = 10_000

#: Reads the payload about an entity as it is now; None if it is gone.
Read = Callable[[EntityChange], Mapping[str, Any] | None]


class News:
    """Takes changes from the core, and tells them in a thread that lives as long as there are any.

    Args:
        emit: sends an event to a namespace.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._read: Read = lambda change: None
        self._lock = Lock()
        self._waiting: deque[EntityChange | Event] = deque()
        self._running = False

    def begin(self, read: Read) -> None:
        """Entities are read by `read`, in the thread."""
        self._read = read

    def changed(self, change: EntityChange) -> None:
        """Have a change told. Returns at once, never raises."""
        if not self._add(change):
            log.warning("More than %d changes wait to be told to live clients; one was dropped", MOST_WAITING)

    def settle(self, seconds: float) -> bool:
        """Wait until everything that was changed before has been told; whether that was so within `seconds`."""
        told = Event()
        return self._add(told) and told.wait(seconds)

    def _add(self, found: EntityChange | Event) -> bool:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                return False
            self._waiting.append(found)
            if not self._running:
                self._running = True
                Thread(target=self._run, name="news", daemon=True).start()
            return True

    def _next(self) -> EntityChange | Event | None:
        with self._lock:
            self._running = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None

    def _run(self) -> None:
        while (found := self._next()) is not None:
            if isinstance(found, Event):
                found.set()
            else:
                self._tell(found)

    def _tell(self, change: EntityChange) -> None:
        try:
            about = {"id": change.id, "deleted": True} if change.deleted else self._read(change)
            named = {} if change.request_id is None else {"requestId": change.request_id}
            while about is not None:
                self._emit_to_all(change, about, named)
                about, named = self._moved_on(change, about), {}
        except (OrchestratorError, PyMongoError) as error:
            log.warning(
                "Live clients may have missed a change of %s %s: %s", change.kind.value, change.id, brief(error)
            )
        except Exception:  # the thread must outlive whatever comes up
            log.exception("A change of %s %s could not be told", change.kind.value, change.id)

    def _emit_to_all(self, change: EntityChange, about: Mapping[str, Any], named: Mapping[str, Any]) -> None:
        context, event, name = NAMES[change.kind]
        for namespace in _namespaces(change, context):
            self._emit(f"sv.{event}.changed", {"err": None, name: about, **named}, namespace)

    def _moved_on(self, change: EntityChange, told: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """A workflow whose run moved on while it was told, as it is now; None if nothing did.

        The run told of it by itself, perhaps before what was older: that must not be the last that clients hear.
        """
        if told.get("run") is None or told["run"]["finished"] is not None:
            return None
        now = self._read(change)
        return None if now is None or _place(now) == _place(told) else now


def _place(workflow: Mapping[str, Any]) -> tuple[str, int]:
    return workflow["run"]["id"], workflow["run"]["seq"]


def _namespaces(change: EntityChange, context: str) -> list[str]:
    """The owner's namespace, and that of another account which asked for the change."""
    if change.kind is EntityKind.BOARD:
        return [f"{EVERYBODY}{context}"]
    accounts = dict.fromkeys(account for account in (change.owner, change.asked_by) if account is not None)
    return [f"/{account}_{context}" for account in accounts]
