"""A purchase survives whatever stops in the middle: either the money is back, or what was paid for is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from orchestrator.database import create_indexes
from orchestrator.embedded import embedded_database
from orchestrator.errors import NotEnoughFunds, NotFound
from orchestrator.payments.purchases import ABANDONED, Purchases

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BUYER, TEMPLATE, PROPERTY = ObjectId(), ObjectId(), ObjectId()

#: The writes of a purchase after its note.
WRITES = [
    ("workty_properties", "update_one"),
    ("workty_versions", "update_one"),
    ("workties", "update_one"),
    ("payment_transactions", "update_one"),
    ("accounts", "update_one"),
]


class Killed(BaseException):
    """The process ends here."""


class World:
    """A buyer with 100 cents, a template of 90 with one property, and a database that fails when told to."""

    def __init__(self) -> None:
        self.failures: dict[tuple[str, str], Iterator[BaseException | None]] = {}
        self.now = NOW
        self.db = embedded_database(observe=self._observed)
        create_indexes(self.db)
        self.db["accounts"].insert_one({"_id": BUYER, "emailKey": "a@b", "amount": 100, "created": NOW})
        self.db["workty_properties"].insert_one({"_id": PROPERTY, "name": "delay", "value": 1})
        self.db["workties"].insert_one(
            {"_id": TEMPLATE, "name": "t", "template": True, "price": 90, "discountPercent": 0, "created": NOW}
            | {"accountId": ObjectId(), "propertiesIds": [PROPERTY], "package": {"sha256": "ab", "version": "1.2"}}
        )
        self.purchases = Purchases(self.db, lambda: self.now)

    def fail(self, write: tuple[str, str], *errors: BaseException | None) -> None:
        """Let the next such writes fail, one by one; None is one that does not."""
        self.failures[write] = iter(errors)

    def _observed(self, collection: str, operation: str) -> None:
        error = next(self.failures.get((collection, operation), iter(())), None)
        if error is not None:
            raise error

    @property
    def amount(self) -> int:
        return int(self._buyer()["amount"])

    @property
    def notes(self) -> list[Any]:
        return list(self._buyer().get("purchases", []))

    def made(self) -> list[int]:
        return [
            self.db["workties"].count_documents({"accountId": BUYER}),
            self.db["workty_properties"].count_documents({"_id": {"$ne": PROPERTY}}),
            self.db["payment_transactions"].count_documents({"accountId": BUYER}),
            self.db["workty_versions"].count_documents({"version": "1.2", "sha256": "ab"}),
        ]

    def _buyer(self) -> dict[str, Any]:
        return self.db["accounts"].find_one({"_id": BUYER}) or {}


@pytest.fixture
def world() -> World:
    return World()


def at_write(number: int) -> list[BaseException | None]:
    """Failures for the accounts' collection begin after the write that takes the money."""
    return [None] if WRITES[number][0] == "accounts" else []


def test_a_purchase_leaves_no_note(world: World) -> None:
    payment = world.purchases.buy(BUYER, TEMPLATE)
    assert (world.amount, world.made(), world.notes) == (10, [1, 1, 1, 1], [])
    copied = world.db["workties"].find_one({"_id": payment["worktyId"]}) or {}
    assert (copied["name"], copied["template"], copied["package"]) == ("t", False, {"sha256": "ab", "version": "1.2"})


@pytest.mark.parametrize("number", range(len(WRITES)))
def test_a_write_that_fails_gives_the_money_back(world: World, number: int) -> None:
    world.fail(WRITES[number], *at_write(number), AutoReconnect("gone"))
    with pytest.raises(AutoReconnect):
        world.purchases.buy(BUYER, TEMPLATE)
    assert (world.amount, world.made(), world.notes) == (100, [0, 0, 0, 0], [])


def test_a_charge_without_an_answer_gives_the_money_back(world: World) -> None:
    world.fail(("accounts", "update_one"), AutoReconnect("gone"))
    with pytest.raises(AutoReconnect):
        world.purchases.buy(BUYER, TEMPLATE)
    assert (world.amount, world.notes) == (100, [])


@pytest.mark.parametrize("number", range(len(WRITES)))
def test_a_process_that_is_killed_leaves_a_purchase_that_anybody_finishes_once(world: World, number: int) -> None:
    world.fail(WRITES[number], *at_write(number), Killed())
    with pytest.raises(Killed):
        world.purchases.buy(BUYER, TEMPLATE)
    assert (world.amount, len(world.notes)) == (10, 1)
    world.db["workties"].delete_one({"_id": TEMPLATE})
    world.db["workty_properties"].delete_one({"_id": PROPERTY})
    world.now += ABANDONED
    for _ in range(2):
        world.purchases.finish_abandoned()
    assert (world.amount, world.made(), world.notes) == (10, [1, 1, 1, 1], [])


def test_a_purchase_that_can_neither_be_finished_nor_undone_now_is_finished_later(world: World) -> None:
    world.fail(("workties", "update_one"), AutoReconnect("gone"))
    world.fail(("payment_transactions", "delete_one"), AutoReconnect("gone"))
    with pytest.raises(AutoReconnect):
        world.purchases.buy(BUYER, TEMPLATE)
    world.now += ABANDONED
    world.purchases.finish_abandoned()
    assert (world.amount, world.made(), world.notes) == (10, [1, 1, 1, 1], [])


def test_a_purchase_under_way_is_left_to_who_began_it(world: World) -> None:
    world.fail(WRITES[0], Killed())
    with suppress(Killed):
        world.purchases.buy(BUYER, TEMPLATE)
    world.now += ABANDONED - timedelta(milliseconds=1)
    world.purchases.finish_abandoned()
    assert world.made() == [0, 0, 0, 0]


def test_only_what_was_left_is_finished_of_several_purchases(world: World) -> None:
    world.db["accounts"].update_one({"_id": BUYER}, {"$set": {"amount": 180}})
    for _ in range(2):
        world.fail(WRITES[0], Killed())
        with suppress(Killed):
            world.purchases.buy(BUYER, TEMPLATE)
        world.now += ABANDONED / 2
    world.purchases.finish_abandoned()
    assert (world.made(), len(world.notes)) == ([1, 1, 1, 1], 1)


def test_the_next_buyer_finishes_what_another_one_left(world: World) -> None:
    world.fail(WRITES[0], Killed())
    with suppress(Killed):
        world.purchases.buy(BUYER, TEMPLATE)
    world.now += ABANDONED
    with pytest.raises(NotEnoughFunds):
        world.purchases.buy(BUYER, TEMPLATE)
    assert (world.amount, world.made(), world.notes) == (10, [1, 1, 1, 1], [])


def test_a_removed_account_buys_nothing(world: World) -> None:
    world.db["accounts"].update_one({"_id": BUYER}, {"$set": {"removed": True}})
    with pytest.raises(NotEnoughFunds):
        world.purchases.buy(BUYER, TEMPLATE)
    assert world.amount == 100


def test_what_is_no_template_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        world.purchases.buy(BUYER, ObjectId())
