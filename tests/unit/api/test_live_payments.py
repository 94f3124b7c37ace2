"""Operations on payments over the live API (live API contract, section 4), row by row."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from tests.unit.api.live_client import LiveClient
from tests.unit.api.live_errors import BAD, INVALID, UNKNOWN, kind_of, no

CHANGED = "sv.payment.changed"
#: What a purchase tells, by context.
BOUGHT = {"payments": CHANGED, "workties": "sv.workty.changed", "accounts": "sv.account.changed"}


def bought(world: Any, buyer: Any) -> str:
    """A payment, and everybody has heard of it."""
    payment = buyer.post("/payments", {"worktyId": world.template("with-delay")}).get_json()
    world.settle()
    return str(payment["_id"])


def heard(world: Any, client: LiveClient) -> dict[str, list[Any]]:
    """What a client has heard of purchases when everything that was changed before is told."""
    world.settle()
    found = {}
    for context, event in BOUGHT.items():
        client.ask(context, "sv.marker")
        found[context] = client.taken(context, event)[:-1]
    return found


def test_a_refresh_tells_the_asker_alone(world: Any, live_url: str, ann: Any) -> None:
    payment = ann.post("/payments", {"worktyId": world.template("with-delay")}).get_json()
    world.settle()
    issued = ann.post("/tokens").get_json()
    with LiveClient(live_url, issued, "payments") as one, LiveClient(live_url, issued, "payments") as other:
        told = one.ask("payments", "sv.payment.refresh.all", {"requestId": 7})
        assert told == {"err": None, "requestId": 7, "count": 1}
        about = {name: payment[name] for name in ("worktyId", "msg", "created", "accountId")}
        expected = {"err": None, "paymentTransaction": {"id": payment["_id"], **about}, "requestId": 7}
        assert one.next("payments", CHANGED) == expected
        assert other.ask("payments", "sv.payment.refresh", {"paymentTransaction": {"id": payment["_id"]}})["count"] == 1
        assert other.taken("payments", CHANGED) == [{k: v for k, v in expected.items() if k != "requestId"}]


def test_without_payments_a_refresh_tells_an_empty_one(live_url: str, ann: Any) -> None:
    with LiveClient(live_url, ann.post("/tokens").get_json(), "payments") as client:
        assert client.ask("payments", "sv.payment.refresh.all") == {"err": None, "count": 0}
        assert client.next("payments", CHANGED) == {"err": None, "paymentTransaction": {}}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"per_page": 2}, [0, 1]),
        ({"per_page": "2", "page_num": 2}, [2]),
        ({"sort": "-created"}, [2, 1, 0]),
        ({"per_page": 1, "page_num": 9}, []),
    ],
)
def test_payments_come_in_pages(world: Any, live_url: str, ann: Any, page: dict[str, Any], expected: list[int]) -> None:
    ids = []
    for _ in range(3):
        ids.append(bought(world, ann))
        world.clock.pass_time(seconds=1)
    with LiveClient(live_url, ann.post("/tokens").get_json(), "payments") as client:
        assert client.ask("payments", "sv.payment.refresh.all", page)["count"] == len(expected)
        told = [message["paymentTransaction"].get("id") for message in client.taken("payments", CHANGED)]
        assert told == ([ids[number] for number in expected] or [None])


@pytest.mark.parametrize("page", [{"per_page": 251}, {"per_page": "x"}, {"page_num": 0}, {"per_page": {}}])
def test_a_wrong_page_is_refused(live_url: str, ann: Any, page: dict[str, Any]) -> None:
    with LiveClient(live_url, ann.post("/tokens").get_json(), "payments") as client:
        assert kind_of(client.ask("payments", "sv.payment.refresh.all", page)) == BAD


def test_a_purchase_tells_the_payment_the_copy_and_the_amount(world: Any, live_url: str, ann: Any, bob: Any) -> None:
    world.db["accounts"].update_one({"name": "ann"}, {"$set": {"amount": 100}})
    world.db["workties"].update_one({"name": "with-delay"}, {"$set": {"price": 60, "discountPercent": 10}})
    issued, template = ann.post("/tokens").get_json(), world.template("with-delay")
    with (
        LiveClient(live_url, issued, *BOUGHT) as one,
        LiveClient(live_url, issued, *BOUGHT) as other,
        LiveClient(live_url, bob.post("/tokens").get_json(), *BOUGHT) as stranger,
    ):
        payload = {"paymentTransaction": {"worktyId": template, "msg": "other"}, "requestId": "buy", "other": 1}
        assert one.ask("payments", "sv.payment.add", payload) == {"err": None, "requestId": "buy"}
        # The acknowledgement in one namespace comes after the messages in all of them.
        told = {context: one.taken(context, event) for context, event in BOUGHT.items()}
        [payment], [workty], [account] = told.values()
        assert {message["requestId"] for message in (payment, workty, account)} == {"buy"}
        about = payment["paymentTransaction"]
        assert set(about) == {"id", "worktyId", "msg", "created", "accountId"}
        assert (about["msg"], about["accountId"]) == ("ok", issued["accountId"])
        assert about["worktyId"] == workty["workty"]["id"] != template
        assert (workty["workty"]["name"], workty["workty"]["template"]) == ("with-delay", False)
        assert (account["account"]["id"], account["account"]["amount"]) == (issued["accountId"], 46)
        assert heard(world, other) == told
        assert heard(world, stranger) == {context: [] for context in BOUGHT}


def test_a_purchase_over_rest_is_told_without_a_request(world: Any, live_url: str, ann: Any) -> None:
    with LiveClient(live_url, ann.post("/tokens").get_json(), *BOUGHT) as client:
        payment = bought(world, ann)
        told = heard(world, client)
        assert [len(messages) for messages in told.values()] == [1, 1, 1]
        assert told["payments"][0]["paymentTransaction"]["id"] == payment
        assert not any("requestId" in message for messages in told.values() for message in messages)


def test_a_purchase_that_was_left_is_told_when_it_is_finished(world: Any, live_url: str, ann: Any, bob: Any) -> None:
    key = ObjectId(world.account_id(ann))
    bought(world, ann)
    payment = world.db["payment_transactions"].find_one_and_delete({"accountId": key})
    copy = world.db["workties"].find_one_and_delete({"_id": payment["worktyId"]})
    left = {"_id": payment["_id"], "since": world.clock(), "cost": 0, "workty": copy, "properties": []}
    world.db["accounts"].update_one({"_id": key}, {"$push": {"purchases": left | {"payment": payment}}})
    world.clock.pass_time(minutes=2)
    with LiveClient(live_url, ann.post("/tokens").get_json(), *BOUGHT) as client:
        bought(world, bob)
        told = heard(world, client)
    assert [len(messages) for messages in told.values()] == [1, 1, 1]
    assert told["payments"][0]["paymentTransaction"]["id"] == str(payment["_id"])


def test_without_enough_funds_nothing_is_bought(world: Any, live_url: str, ann: Any) -> None:
    world.db["workties"].update_one({"name": "with-delay"}, {"$set": {"price": 60}})
    with LiveClient(live_url, ann.post("/tokens").get_json(), *BOUGHT) as client:
        payload = {"paymentTransaction": {"worktyId": world.template("with-delay")}, "requestId": 5}
        told = client.ask("payments", "sv.payment.add", payload)
        assert kind_of(told) == no(15)
        assert client.taken("payments", CHANGED) == [told]
        assert heard(world, client) == {context: [] for context in BOUGHT}
    assert ann.get("/payments").get_json() == []


def test_an_administrators_change_is_told_to_the_owner_and_the_administrator(
    world: Any, live_url: str, ann: Any
) -> None:
    payment, issued = bought(world, ann), world.admin.post("/tokens").get_json()
    with (
        LiveClient(live_url, issued, "payments") as admin,
        LiveClient(live_url, issued, "payments") as beside,
        LiveClient(live_url, ann.post("/tokens").get_json(), *BOUGHT) as owner,
    ):
        payload = {"paymentTransaction": {"id": payment, "msg": "refunded", "worktyId": UNKNOWN}, "requestId": 1}
        assert admin.ask("payments", "sv.payment.upd", payload) == {"err": None, "requestId": 1}
        [changed] = admin.taken("payments", CHANGED)
        stored = ann.get(f"/payments/{payment}").get_json()
        assert changed["paymentTransaction"] == {"id": payment, **{k: v for k, v in stored.items() if k != "_id"}}
        assert stored["msg"] == "refunded"
        assert stored["worktyId"] != UNKNOWN
        payload = {"paymentTransaction": {"id": payment}, "requestId": 2}
        assert admin.ask("payments", "sv.payment.del", payload) == {"err": None, "requestId": 2}
        [deleted] = admin.taken("payments", CHANGED)
        assert deleted == {"err": None, "paymentTransaction": {"id": payment, "deleted": True}, "requestId": 2}
        assert heard(world, owner) == {"payments": [changed, deleted], "workties": [], "accounts": []}
        beside.ask("payments", "sv.marker")
        assert beside.taken("payments", CHANGED)[:-1] == [changed, deleted]
    assert len(ann.get("/workties", template="false").get_json()) == 1


def test_changes_over_rest_are_told_to_the_owner(world: Any, live_url: str, ann: Any) -> None:
    payment = bought(world, ann)
    with LiveClient(live_url, ann.post("/tokens").get_json(), *BOUGHT) as owner:
        world.admin.put(f"/payments/{payment}", {"msg": "refunded"})
        world.settle()
        assert owner.next("payments", CHANGED)["paymentTransaction"]["msg"] == "refunded"
        world.admin.delete(f"/payments/{payment}")
        assert heard(world, owner)["payments"] == [
            {"err": None, "paymentTransaction": {"id": payment, "deleted": True}}
        ]


@pytest.mark.parametrize(
    ("who", "event", "payload", "expected"),
    [
        ("ann", "refresh", {}, BAD),
        ("ann", "refresh", {"paymentTransaction": {"id": ""}}, BAD),
        ("ann", "refresh", {"paymentTransaction": "x"}, BAD),
        ("ann", "refresh", {"paymentTransaction": {"id": "x"}}, no(2)),
        ("ann", "refresh", {"paymentTransaction": {"id": UNKNOWN}}, no(2)),
        ("bob", "refresh", {"paymentTransaction": {"id": "own"}}, no(2)),
        ("ann", "add", {}, BAD),
        ("ann", "add", {"paymentTransaction": {"worktyId": None}}, BAD),
        ("ann", "add", {"paymentTransaction": {"worktyId": {}}}, BAD),
        ("ann", "add", {"paymentTransaction": "x"}, BAD),
        ("ann", "add", {"paymentTransaction": {"worktyId": " "}}, no(2)),
        ("ann", "add", {"paymentTransaction": {"worktyId": 5}}, no(2)),
        ("ann", "add", {"paymentTransaction": {"worktyId": UNKNOWN}}, no(2)),
        ("ann", "upd", {"paymentTransaction": {"id": "own", "msg": "x"}}, no(13)),
        ("ann", "del", {"paymentTransaction": {"id": "own"}}, no(13)),
        ("ann", "upd", {}, no(13)),
        ("admin", "upd", {"paymentTransaction": {"msg": "x"}}, BAD),
        ("admin", "upd", {"paymentTransaction": {"id": "own"}}, BAD),
        ("admin", "upd", {"paymentTransaction": {"id": "own", "worktyId": UNKNOWN}}, BAD),
        ("admin", "upd", {"paymentTransaction": {"id": "own", "msg": 5}}, INVALID),
        ("admin", "upd", {"paymentTransaction": {"id": "own", "msg": "x" * 4097}}, INVALID),
        ("admin", "upd", {"paymentTransaction": {"id": UNKNOWN, "msg": "x"}}, no(3)),
        ("admin", "upd", {"paymentTransaction": {"id": "x", "msg": "x"}}, no(3)),
        ("admin", "del", {}, BAD),
        ("admin", "del", {"paymentTransaction": {"id": UNKNOWN}}, no(4)),
        ("admin", "del", {"paymentTransaction": {"id": ["x"]}}, no(4)),
    ],
)
def test_a_wrong_request_changes_nothing_and_tells_only_the_asker(  # noqa: PLR0917 - fixtures and parameters
    world: Any, live_url: str, ann: Any, bob: Any, who: str, event: str, payload: dict[str, Any], expected: Any
) -> None:
    own = bought(world, ann)
    before = world.admin.get("/payments").get_json()
    if payload.get("paymentTransaction", {}) != "x" and payload.get("paymentTransaction", {}).get("id") == "own":
        payload = {"paymentTransaction": payload["paymentTransaction"] | {"id": own}}
    asker = {"ann": ann, "bob": bob, "admin": world.admin}[who].post("/tokens").get_json()
    with (
        LiveClient(live_url, asker, "payments") as client,
        LiveClient(live_url, asker, *BOUGHT) as beside,
    ):
        told = client.ask("payments", f"sv.payment.{event}", payload | {"requestId": 5})
        assert kind_of(told) == expected
        assert told["err"]["body"]["error"]["inputParameters"] == payload
        assert client.taken("payments", CHANGED) == [{"err": told["err"], "requestId": 5}]
        assert heard(world, beside) == {context: [] for context in BOUGHT}
    assert world.admin.get("/payments").get_json() == before
