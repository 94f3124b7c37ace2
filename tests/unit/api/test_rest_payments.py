"""Buying templates over REST."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.payments.purchases import cost

UNKNOWN = "5f" * 12


@pytest.fixture
def template(world: Any) -> str:
    """A template of 100 cents less 10 percent."""
    id_ = world.template("with-delay")
    world.db["workties"].update_one({"_id": ObjectId(id_)}, {"$set": {"price": 100, "discountPercent": 10}})
    return str(id_)


def fill(world: Any, client: Any, cents: int) -> str:
    path = f"/accounts/{world.account_id(client)}"
    assert world.admin.put(path, {"amount": cents}).status_code == 200
    return path


def amount(world: Any, path: str) -> int:
    return int(world.admin.get(path).get_json()["amount"])


def counts(world: Any) -> list[int]:
    return [world.db[name].count_documents({}) for name in ("workties", "workty_properties", "payment_transactions")]


@pytest.mark.parametrize(
    ("price", "discount", "expected"),
    [(0, 0, 0), (100, 0, 100), (100, 30, 70), (1, 30, 1), (5, 10, 5), (15, 10, 14), (1, 0, 1), (333, 7, 310)],
)
def test_a_discount_is_rounded_to_whole_cents_half_up(price: int, discount: int, expected: int) -> None:
    assert cost(price, discount) == expected


def test_a_bought_template_is_copied_for_its_buyer(world: Any, ann: Any, template: str) -> None:
    path = fill(world, ann, 90)
    answer = ann.post("/payments", {"worktyId": template, "msg": "mine", "accountId": UNKNOWN})
    payment = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost/api/v1/payments/{payment['_id']}"
    assert list(payment) == ["_id", "accountId", "worktyId", "msg", "created"]
    assert (payment["accountId"], payment["msg"]) == (path.rpartition("/")[2], "ok")
    assert amount(world, path) == 0
    original = world.admin.get(f"/workties/{template}", embed="properties").get_json()
    copied = ann.get(f"/workties/{payment['worktyId']}", embed="properties").get_json()
    changed = {"_id", "accountId", "template", "propertiesIds", "created"}
    assert {k: v for k, v in copied.items() if k not in changed} == {
        k: v for k, v in original.items() if k not in changed
    }
    assert (copied["accountId"], copied["template"]) == (payment["accountId"], False)
    [old], [new] = original["propertiesIds"], copied["propertiesIds"]
    assert old["_id"] != new["_id"]
    assert (old["name"], old["value"]) == (new["name"], new["value"])
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    body = {"worktyId": payment["worktyId"]}
    assert ann.post(f"/workflows/{workflow}/worktiesInstances", body).status_code == 201


def test_buying_again_makes_another_copy_and_costs_again(world: Any, ann: Any, template: str) -> None:
    path = fill(world, ann, 200)
    bought = [ann.post("/payments", {"worktyId": template}).get_json() for _ in range(2)]
    assert bought[0]["worktyId"] != bought[1]["worktyId"]
    assert amount(world, path) == 20


def test_without_enough_money_nothing_changes(world: Any, ann: Any, template: str) -> None:
    path, before = fill(world, ann, 89), counts(world)
    answer = ann.post("/payments", {"worktyId": template})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (402, 15)
    assert (amount(world, path), counts(world)) == (89, before)


def test_what_is_free_needs_no_money(world: Any, ann: Any) -> None:
    assert ann.post("/payments", {"worktyId": world.template("without-delay")}).status_code == 201


@pytest.mark.parametrize("worktyid", [UNKNOWN, "x", 5, [UNKNOWN]])
def test_what_is_no_template_cannot_be_bought(world: Any, ann: Any, worktyid: Any) -> None:
    before = counts(world)
    answer = ann.post("/payments", {"worktyId": worktyid})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, 2)
    assert counts(world) == before


def test_a_copy_cannot_be_bought(world: Any, ann: Any) -> None:
    copy = ann.post("/payments", {"worktyId": world.template("without-delay")}).get_json()["worktyId"]
    assert world.admin.post("/payments", {"worktyId": copy}).status_code == 404


@pytest.mark.parametrize("body", [{}, {"worktyId": ""}, {"worktyId": None}, {"worktyId": " "}])
def test_the_workty_is_required(ann: Any, body: dict[str, Any]) -> None:
    answer = ann.post("/payments", body)
    assert answer.status_code == 409
    assert answer.get_json()["error"]["errors"] == [{"message": "Path `worktyId` is required."}]


def test_a_changed_or_deleted_template_does_not_touch_its_copies(world: Any, ann: Any) -> None:
    template = world.template("with-delay")
    copy = ann.post("/payments", {"worktyId": template}).get_json()["worktyId"]
    before = ann.get(f"/workties/{copy}", embed="properties").get_json()
    assert world.admin.put(f"/workties/{template}", {"name": "changed", "price": 5}).status_code == 200
    assert world.admin.delete(f"/workties/{template}").status_code == 204
    assert ann.get(f"/workties/{copy}", embed="properties").get_json() == before


def test_payments_are_seen_by_their_owner_and_changed_by_admins(world: Any, ann: Any, bob: Any) -> None:
    free = {"worktyId": world.template("without-delay")}
    mine, others = (client.post("/payments", free).get_json() for client in (ann, bob))
    assert ann.get("/payments").get_json() == [mine]
    assert ann.get("/payments", worktyId=others["worktyId"]).get_json() == []
    assert world.admin.get("/payments", sort="-_id").get_json() == [others, mine]
    assert ann.get(f"/payments/{mine['_id']}").get_json() == mine
    assert ann.get(f"/payments/{others['_id']}").status_code == 404
    path = f"/payments/{mine['_id']}"
    assert ann.put(path, {"msg": "x"}).status_code == ann.delete(path).status_code == 403
    assert world.admin.put(path, {"msg": "seen"}).get_json() == mine | {"msg": "seen"}
    assert world.admin.delete(path).status_code == 204
    assert world.admin.delete(path).status_code == world.admin.get(path).status_code == 404
    assert ann.get(f"/workties/{mine['worktyId']}").status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"worktyId": UNKNOWN}, 400), ({"msg": 5}, 409), ({"msg": "x" * 4097}, 409), ({"msg": ""}, 200)],
)
def test_only_the_message_of_a_payment_changes(world: Any, ann: Any, body: dict[str, Any], status: int) -> None:
    payment = ann.post("/payments", {"worktyId": world.template("without-delay")}).get_json()
    assert world.admin.put(f"/payments/{payment['_id']}", body).status_code == status
    unknown = world.admin.put(f"/payments/{UNKNOWN}", body).status_code
    assert unknown == (400 if status == 400 else 404)


def test_many_buyers_with_the_same_money_buy_no_more_than_it_is_worth(world: Any, ann: Any, template: str) -> None:
    path = fill(world, ann, 3 * 90 + 89)
    before = counts(world)
    with ThreadPoolExecutor(8) as pool:
        client = world.client("ann@mail", "ann")
        bought = [pool.submit(client.post, "/payments", {"worktyId": template}) for _ in range(8)]
    assert sorted(answer.result().status_code for answer in bought) == [201] * 3 + [402] * 5
    assert amount(world, path) == 89
    assert [after - was for after, was in zip(counts(world), before, strict=True)] == [3, 3, 3]
