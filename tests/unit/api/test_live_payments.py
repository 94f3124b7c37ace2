"""Operations on payments over the live API (live API contract, section 4), row by row."""

from __future__ import annotations

from typing import Any

from tests.unit.api.live_client import LiveClient

CHANGED = "sv.payment.changed"


def test_a_refresh_tells_the_asker_alone(world: Any, live_url: str, ann: Any) -> None:
    payment = ann.post("/payments", {"worktyId": world.template("with-delay")}).get_json()
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
