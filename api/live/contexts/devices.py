"""Operations of the context `devices`: boards."""

from __future__ import annotations

from collections.abc import Mapping

from api.live import payloads
from api.live.operations import Done, Operation, Request
from orchestrator.boards.service import CHANGEABLE
from orchestrator.selection import Selection

_CHANGED, _NAME = "sv.device.changed", "device"
_ID = f"{_NAME}.id"


def _refresh_all(request: Request) -> Done:
    found = request.services.boards.find(request.actor, Selection())
    return request.tell_all(_CHANGED, _NAME, [payloads.device(record) for record in found])


def _refresh(request: Request) -> Done:
    record = request.services.boards.get(request.actor, request.at(_ID))
    return request.tell_all(_CHANGED, _NAME, [payloads.device(record)])


def _add(request: Request) -> Done:
    return Done(added=str(request.services.boards.add(request.actor, request.at(_NAME))["_id"]))


def _update(request: Request) -> None:
    changes = request.at(_NAME)
    if "state" in changes and not any(name in changes for name in CHANGEABLE):
        # Clients of v1 set states, which boards say themselves now: they are told what it is.
        _refresh(request)
        return
    request.services.boards.change(request.actor, request.at(_ID), changes)


def _delete(request: Request) -> None:
    request.services.boards.delete(request.actor, request.at(_ID))


OPERATIONS: Mapping[str, Operation] = {
    "sv.device.refresh.all": Operation(needs="view", perform=_refresh_all),
    "sv.device.refresh": Operation(needs="view", missing=(_ID,), ids={_ID: "device"}, perform=_refresh),
    "sv.device.add": Operation(needs="create", missing=(_NAME,), perform=_add),
    "sv.device.upd": Operation(
        needs="update", missing=(_ID,), ids={_ID: "device"}, codes={"device": 3}, perform=_update
    ),
    "sv.device.del": Operation(
        needs="delete", missing=(_ID,), ids={_ID: "device"}, codes={"device": 4}, perform=_delete
    ),
}
