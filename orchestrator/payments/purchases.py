"""Buying a template: all or nothing, with many buyers at once and whatever stops in the middle.

One write takes the money and notes the purchase, with all that is to be made for it, on the buyer's account. Then the
copy and the payment are made under ids that the note already has, and the note is struck out. So money never leaves an
account without a note of what is owed for it; whoever finds an old note finishes the purchase, as often as he likes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, PyMongoError, WriteError

from orchestrator.errors import NotEnoughFunds, NotFound, TooLarge, brief
from orchestrator.live import NOBODY, Audience, EntityChange, EntityKind

log = logging.getLogger(__name__)

Document = Mapping[str, Any]

#: After how long a purchase that is not finished belongs to whoever finds it. Much longer than one takes.
ABANDONED = timedelta(minutes=2)

#: MongoDB's code for a document that would grow beyond its limit.
_TOO_LARGE = 17419


def cost(price: int, discount_percent: float) -> int:
    """What a template costs, cents: `price` less the discount, half a cent rounded up."""
    exact = price * (100 - Decimal(str(discount_percent))) / 100
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


class Purchases:
    """Purchases of templates. `audience` is told what one makes: payment, copy, and the account with its amount."""

    def __init__(
        self, db: Database[dict[str, Any]], clock: Callable[[], datetime], audience: Audience = NOBODY
    ) -> None:
        self._accounts = db["accounts"]
        self._workties = db["workties"]
        self._properties = db["workty_properties"]
        self._versions = db["workty_versions"]
        self._payments = db["payment_transactions"]
        self._clock = clock
        self._audience = audience

    def buy(self, account_id: ObjectId, template_id: ObjectId, request_id: str | int | float | None = None) -> Document:
        """Pay for a template, copy it for the account, and return the payment.

        `request_id` is the buyer's name of the request, see `Account.request_id`.

        Raises `NotFound` for what is no template, `NotEnoughFunds`, `TooLarge`. If something else is raised the money
        is back, or the purchase is finished later by `finish_abandoned`.
        """
        self.finish_abandoned()
        template = self._workties.find_one({"_id": template_id, "template": True})
        if template is None:
            raise NotFound("workty")
        purchase = self._purchase(account_id, template)
        try:
            self._charge(account_id, purchase)
            self._finish(account_id, purchase)
        except PyMongoError:
            self._give_back(account_id, purchase)
            raise
        self._tell(account_id, purchase, request_id)
        return dict(purchase["payment"])

    def finish_abandoned(self) -> None:
        """Finish what somebody paid for and did not get because a process or the database stopped in between."""
        before = self._clock() - ABANDONED
        for account in list(self._accounts.find({"purchases.since": {"$lte": before}}, {"purchases": True})):
            for purchase in account["purchases"]:
                if purchase["since"] <= before:
                    log.warning("Finishing the purchase %s of account %s", purchase["_id"], account["_id"])
                    self._finish(account["_id"], purchase)
                    self._tell(account["_id"], purchase)

    def _purchase(self, account_id: ObjectId, template: Document) -> dict[str, Any]:
        """The note of a purchase: its cost, and the documents that are to be made."""
        found = {p["_id"]: p for p in self._properties.find({"_id": {"$in": template["propertiesIds"]}})}
        properties = [found[id_] | {"_id": ObjectId()} for id_ in template["propertiesIds"] if id_ in found]
        now, copy_id, payment_id = self._clock(), ObjectId(), ObjectId()
        changed = {"_id": copy_id, "accountId": account_id, "template": False, "builtin": False, "created": now}
        return {
            "_id": payment_id,
            "since": now,
            "cost": cost(template["price"], template["discountPercent"]),
            "workty": {**template, **changed, "propertiesIds": [p["_id"] for p in properties]},
            "properties": properties,
            "payment": {"_id": payment_id, "accountId": account_id, "worktyId": copy_id, "msg": "ok", "created": now},
        }

    def _charge(self, account_id: ObjectId, purchase: Document) -> None:
        try:
            charged = self._accounts.update_one(
                {"_id": account_id, "removed": {"$ne": True}, "amount": {"$gte": purchase["cost"]}},
                {"$inc": {"amount": -purchase["cost"]}, "$push": {"purchases": purchase}},
            )
        except DocumentTooLarge as error:
            raise TooLarge from error
        except WriteError as error:
            raise TooLarge if error.code == _TOO_LARGE else error from error
        if not charged.matched_count:
            raise NotEnoughFunds

    def _finish(self, account_id: ObjectId, purchase: Document) -> None:
        """Make the documents that are not there yet; the note goes last."""
        for document in purchase["properties"]:
            self._properties.update_one({"_id": document["_id"]}, {"$setOnInsert": _content(document)}, upsert=True)
        self._keep_version(purchase["workty"])
        for collection, document in ((self._workties, purchase["workty"]), (self._payments, purchase["payment"])):
            collection.update_one({"_id": document["_id"]}, {"$setOnInsert": _content(document)}, upsert=True)
        self._accounts.update_one({"_id": account_id}, {"$pull": {"purchases": {"_id": purchase["_id"]}}})

    def _keep_version(self, workty: Document) -> None:
        """The code that the copy has is the first of its versions, unless it has no manifest."""
        package = workty.get("package") or {}
        if package.get("version"):
            key = {"worktyId": workty["_id"], "version": package["version"]}
            content = {name: value for name, value in package.items() if name != "version"}
            update = {"$setOnInsert": {"created": workty["created"], **content}}
            self._versions.update_one(key, update, upsert=True)

    def _tell(self, account_id: ObjectId, purchase: Document, request_id: str | int | float | None = None) -> None:
        made = (
            (EntityKind.PAYMENT, purchase["payment"]["_id"]),
            (EntityKind.WORKTY, purchase["workty"]["_id"]),
            (EntityKind.ACCOUNT, account_id),
        )
        for kind, key in made:
            change = EntityChange(kind=kind, id=str(key), owner=str(account_id), request_id=request_id)
            self._audience.entity_changed(change)

    def _give_back(self, account_id: ObjectId, purchase: Document) -> None:
        """Undo a purchase. What cannot be undone now stays noted, and is finished later instead."""
        try:
            self._payments.delete_one({"_id": purchase["payment"]["_id"]})
            self._workties.delete_one({"_id": purchase["workty"]["_id"]})
            self._versions.delete_many({"worktyId": purchase["workty"]["_id"]})
            self._properties.delete_many({"_id": {"$in": purchase["workty"]["propertiesIds"]}})
            self._accounts.update_one(
                {"_id": account_id, "purchases._id": purchase["_id"]},
                {"$inc": {"amount": purchase["cost"]}, "$pull": {"purchases": {"_id": purchase["_id"]}}},
            )
        except PyMongoError as error:
            log.warning("The purchase %s is finished later (%s)", purchase["_id"], brief(error))


def _content(document: Document) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "_id"}
