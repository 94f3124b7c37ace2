"""Operations of the context `payments`."""

from __future__ import annotations

from collections.abc import Mapping

from api.live import payloads
from api.live.operations import Done, Operation, Request
from orchestrator.payments.service import PAYMENT

_CHANGED, _NAME = "sv.payment.changed", "paymentTransaction"
_ID, _WORKTY = f"{_NAME}.id", f"{_NAME}.worktyId"


def _refresh_all(request: Request) -> Done:
    found = request.services.payments.find(request.actor, request.selection(PAYMENT))
    return request.tell_all(_CHANGED, _NAME, [payloads.payment(record) for record in found])


def _refresh(request: Request) -> Done:
    record = request.services.payments.get(request.actor, request.at(_ID))
    return request.tell_all(_CHANGED, _NAME, [payloads.payment(record)])


def _add(request: Request) -> Done:
    return Done(added=str(request.services.payments.buy(request.actor, request.at(_NAME))["_id"]))


def _update(request: Request) -> None:
    request.services.payments.update(request.actor, request.at(_ID), request.at(_NAME))


def _delete(request: Request) -> None:
    request.services.payments.delete(request.actor, request.at(_ID))


OPERATIONS: Mapping[str, Operation] = {
    "sv.payment.refresh.all": Operation(needs="view", perform=_refresh_all),
    "sv.payment.refresh": Operation(needs="view", missing=(_ID,), ids={_ID: "payment"}, perform=_refresh),
    "sv.payment.add": Operation(needs="create", missing=(_WORKTY,), ids={_WORKTY: "workty"}, perform=_add),
    "sv.payment.upd": Operation(
        needs="update", missing=(_ID,), ids={_ID: "payment"}, codes={"payment": 3}, perform=_update
    ),
    "sv.payment.del": Operation(
        needs="delete", missing=(_ID,), ids={_ID: "payment"}, codes={"payment": 4}, perform=_delete
    ),
}
