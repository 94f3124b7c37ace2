"""Payments: the record of every template that an account acquired.

What an acquisition costs and how it survives a crash is `purchases`' affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.changes import entity_change
from orchestrator.errors import NotFound
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.payments.purchases import Purchases
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, Selection, View
from orchestrator.values import TEXT_LIMIT, Values, object_id

PAYMENT: Entity = {
    "_id": Kind.ID,
    "accountId": Kind.ID,
    "worktyId": Kind.ID,
    "msg": Kind.TEXT,
    "created": Kind.DATE,
}


class PaymentService:
    """Payments of accounts. What belongs to another account does not exist, except for admins.

    `audience` is told what is changed here; what a purchase makes is told by `purchases`.
    """

    def __init__(self, db: Database[dict[str, Any]], purchases: Purchases, audience: Audience = NOBODY) -> None:
        self._payments = db["payment_transactions"]
        self._purchases = purchases
        self._audience = audience

    def find(self, actor: Account, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """Own payments, for admins all. Raises `Forbidden`."""
        actor.require("payments", "view")
        found = self._payments.find(
            {"$and": [_reachable(actor), selection.where]},
            sort=selection.mongo_sort(),
            skip=selection.skip,
            limit=selection.limit,
        )
        return [view.pick(document, PAYMENT) for document in found]

    def get(self, actor: Account, payment_id: str, view: View = EVERYTHING) -> Record:
        """One payment. Raises `Forbidden`, `NotFound`."""
        actor.require("payments", "view")
        found = self._payments.find_one({"$and": [_reachable(actor), {"_id": object_id(payment_id)}]})
        if found is None:
            raise NotFound("payment")
        return view.pick(found, PAYMENT)

    def buy(self, actor: Account, body: Mapping[str, Any]) -> Record:
        """Pay for a template and get a copy of it, which the payment names.

        Raises `Forbidden`, `ValidationFailed`, `NotFound`, `NotEnoughFunds`.
        """
        actor.require("payments", "create")
        values = Values(body)
        values.required("worktyId")
        return EVERYTHING.pick(self._purchases.buy(actor.id, values.id("worktyId"), actor.request_id), PAYMENT)

    def update(self, actor: Account, payment_id: str, body: Mapping[str, Any]) -> Record:
        """Change a payment's message. Raises `Forbidden`, `NothingToUpdate`, `NotFound`, `ValidationFailed`."""
        actor.require("payments", "update")
        values = Values(body)
        values.changes("msg")
        key = {"$and": [_reachable(actor), {"_id": object_id(payment_id)}]}
        if self._payments.find_one(key, {"_id": True}) is None:
            raise NotFound("payment")
        changed = {"msg": values.text("msg", limit=TEXT_LIMIT)}
        values.done()
        found = self._payments.find_one_and_update(key, {"$set": changed}, return_document=ReturnDocument.AFTER)
        if found is None:
            raise NotFound("payment")
        self._tell(actor, found)
        return EVERYTHING.pick(found, PAYMENT)

    def delete(self, actor: Account, payment_id: str) -> None:
        """Delete a payment; gives nothing back. Raises `Forbidden`, `NotFound`."""
        actor.require("payments", "delete")
        key = {"$and": [_reachable(actor), {"_id": object_id(payment_id)}]}
        found = self._payments.find_one_and_delete(key)
        if found is None:
            raise NotFound("payment")
        self._tell(actor, found, deleted=True)

    def _tell(self, actor: Account, payment: Mapping[str, Any], *, deleted: bool = False) -> None:
        self._audience.entity_changed(
            entity_change(EntityKind.PAYMENT, payment["_id"], payment["accountId"], actor, deleted=deleted)
        )


def _reachable(actor: Account) -> dict[str, Any]:
    return {} if actor.is_admin else {"accountId": actor.id}
