"""Operations of the context `accounts`."""

from __future__ import annotations

from collections.abc import Mapping

from api.live import payloads
from api.live.operations import Done, Operation, Request
from orchestrator.accounts.service import ACCOUNT

_CHANGED, _NAME = "sv.account.changed", "account"
_ID = f"{_NAME}.id"


def _refresh_all(request: Request) -> Done:
    found = request.services.accounts.select(request.actor, request.selection(ACCOUNT))
    return request.tell_all(_CHANGED, _NAME, [payloads.account(record) for record in found])


def _refresh(request: Request) -> Done:
    record = request.services.accounts.get(request.actor, request.at(_ID))
    return request.tell_all(_CHANGED, _NAME, [payloads.account(record)])


def _add(request: Request) -> Done:
    return Done(added=str(request.services.accounts.create(request.actor, request.at(_NAME))["_id"]))


def _update(request: Request) -> None:
    request.services.accounts.update(request.actor, request.at(_ID), request.at(_NAME))


def _delete(request: Request) -> None:
    erase = str(request.at(f"{_NAME}.removing")).lower() == "true"
    request.services.removal.delete(request.actor, request.at(_ID), erase=erase)


OPERATIONS: Mapping[str, Operation] = {
    "sv.account.refresh.all": Operation(needs="view", perform=_refresh_all),
    "sv.account.refresh": Operation(needs="view", missing=(_ID,), ids={_ID: "account"}, perform=_refresh),
    "sv.account.add": Operation(needs="create", missing=(_NAME,), perform=_add),
    "sv.account.upd": Operation(
        needs="update", missing=(_ID,), ids={_ID: "account"}, codes={"account": 3}, perform=_update
    ),
    "sv.account.del": Operation(
        needs="delete", missing=(_ID,), ids={_ID: "account"}, codes={"account": 4}, perform=_delete
    ),
}
