"""Accounts, payments and logins on a real MongoDB: what several requests at the same time make of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.accounts.lockout import FREE_OF_EMAIL
from orchestrator.core import utc_now
from orchestrator.database import connect
from orchestrator.errors import TooLarge
from orchestrator.payments.purchases import Purchases
from tests.unit.api.conftest import World, make_fresh, new_world

pytestmark = pytest.mark.real


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    database = connect(database_url)
    with closing(database.client):
        make_fresh(database)
        world = new_world(database)
        # The server removes what has expired by its own clock.
        world.clock.now = utc_now()
        yield world


def at_once(times: int, request: Callable[[int], Any]) -> Counter[int]:
    """How often each status was answered to requests that were sent at the same time."""
    with ThreadPoolExecutor(times) as pool:
        answers = [pool.submit(request, number) for number in range(times)]
    return Counter(answer.result().status_code for answer in answers)


def fill(world: World, client: Any, cents: int) -> str:
    path = f"/accounts/{world.account_id(client)}"
    assert world.admin.put(path, {"amount": cents}).status_code == 200
    return path


def priced(world: World) -> str:
    template = world.template("with-delay")
    world.db["workties"].update_one({"_id": ObjectId(template)}, {"$set": {"price": 90}})
    return template


def test_many_buyers_with_the_same_money_buy_no_more_than_it_is_worth(world: World) -> None:
    ann = world.account("ann")
    path, template = fill(world, ann, 3 * 90 + 89), priced(world)
    statuses = at_once(12, lambda _: world.client("ann@mail", "ann").post("/payments", {"worktyId": template}))
    assert statuses == {201: 3, 402: 9}
    assert world.admin.get(path).get_json()["amount"] == 89
    bought = ann.get("/payments").get_json()
    assert len({payment["worktyId"] for payment in bought}) == len(bought) == 3
    assert [workty["name"] for workty in ann.get("/workties", template="false").get_json()] == ["with-delay"] * 3
    properties = [id_ for w in ann.get("/workties", template="false").get_json() for id_ in w["propertiesIds"]]
    assert len(set(properties)) == 3
    assert world.db["accounts"].find_one({"name": "ann"}, {"purchases": True})["purchases"] == []  # type: ignore[index]


class Killed(BaseException):
    """The process ends here."""


class KilledAt:
    """A database whose user is killed when it writes to a collection."""

    def __init__(self, db: Any, collection: str) -> None:
        self._db, self._collection = db, collection

    def __getitem__(self, name: str) -> Any:
        return _Killing(self._db[name]) if name == self._collection else self._db[name]


class _Killing:
    def __init__(self, collection: Any) -> None:
        self.find_one = collection.find_one

    def update_one(self, *_: Any, **__: Any) -> None:
        raise Killed


def test_a_purchase_that_somebody_left_may_be_finished_by_many_at_once(world: World) -> None:
    ann = world.account("ann")
    path, template = fill(world, ann, 100), priced(world)
    left: Any = KilledAt(world.db, "workties")
    with pytest.raises(Killed):
        Purchases(left, world.clock).buy(ObjectId(path.rpartition("/")[2]), ObjectId(template))
    assert world.admin.get(path).get_json()["amount"] == 10
    world.clock.pass_time(minutes=3)
    purchases = Purchases(world.db, world.clock)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(purchases.finish_abandoned) for _ in range(8)]:
            done.result()
    [payment] = ann.get("/payments").get_json()
    [workty] = ann.get("/workties", template="false", embed="properties").get_json()
    assert workty["_id"] == payment["worktyId"]
    assert len(workty["propertiesIds"]) == 1
    assert world.admin.get(path).get_json()["amount"] == 10


def test_an_email_is_given_to_one_account_only(world: World) -> None:
    bodies = [{"email": email} for email in ("Straße@mail", "STRASSE@mail", "strasse@MAIL", "straße@Mail")]
    statuses = at_once(4, lambda number: world.admin.post("/accounts", bodies[number]))
    assert statuses == {201: 1, 409: 3}
    ann, bob = world.account("ann"), world.account("bob")
    paths = [f"/accounts/{world.account_id(client)}" for client in (ann, bob)]
    assert at_once(2, lambda number: world.admin.put(paths[number], {"email": "new@mail"})) == {200: 1, 409: 1}


def test_admins_who_remove_each_other_at_once_leave_one(world: World) -> None:
    names = [f"admin{number}" for number in range(4)]
    clients = {name: world.account(name) for name in names}
    paths = [f"/accounts/{world.account_id(client)}" for client in clients.values()]
    for path in paths:
        assert world.admin.put(path, {"aclRoleNames": ["admin"]}).status_code == 200
    paths.append(f"/accounts/{world.account_id(world.admin)}")
    actors = [*((f"{name}@mail", name) for name in names), ("supervisor@localhost", "secret")]
    statuses = at_once(5, lambda n: world.client(*actors[n]).delete(paths[(n + 1) % 5]))
    left = world.db["accounts"].count_documents({"aclRoleNames": "admin", "removed": {"$ne": True}})
    assert left >= 1
    assert statuses[204] == 5 - left
    assert set(statuses) <= {204, 403, 404, 409}


def test_failures_at_the_same_time_all_count(world: World) -> None:
    world.account("ann")
    statuses = at_once(FREE_OF_EMAIL, lambda _: world.client("ann@mail", "wrong").get("/workflows"))
    assert statuses == {401: FREE_OF_EMAIL}
    assert world.client("ann@mail", "ann").get("/workflows").status_code == 429


def test_an_erased_account_takes_along_what_is_its_own(world: World) -> None:
    ann = world.account("ann")
    own = f"/accounts/{world.account_id(ann)}"
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    payment = ann.post("/payments", {"worktyId": world.template("with-delay")}).get_json()
    ann.post(f"/workflows/{workflow}/worktiesInstances", {"worktyId": payment["worktyId"]})
    assert ann.send("DELETE", own, query_string={"removing": "true"}).status_code == 204
    assert world.db["workflows"].count_documents({}) == world.db["workty_instances"].count_documents({}) == 0
    assert world.admin.get(f"/workties/{payment['worktyId']}").status_code == 404
    assert world.admin.get(f"/payments/{payment['_id']}").get_json() == payment


def test_lists_use_indexes(world: World) -> None:
    key = ObjectId()
    for collection, query, sort in (
        ("payment_transactions", {"$and": [{"accountId": key}, {}]}, [("created", 1), ("_id", 1)]),
        ("payment_transactions", {"$and": [{}, {}]}, [("created", 1), ("_id", 1)]),
        ("accounts", {"$and": [{}, {}]}, [("created", 1), ("_id", 1)]),
        ("accounts", {"name": "x"}, []),
        ("accounts", {"purchases.since": {"$lte": world.clock()}}, []),
        ("audit", {}, [("created", -1), ("_id", -1)]),
        ("audit", {"accountId": key}, [("created", -1), ("_id", -1)]),
    ):
        found = world.db[collection].find(query)
        plan = str((found.sort(sort) if sort else found).explain()["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in plan, (collection, query)
        assert "COLLSCAN" not in plan, (collection, query)


def test_a_purchase_that_does_not_fit_into_an_account_is_refused(world: World) -> None:
    ann = world.account("ann")
    path, template = fill(world, ann, 100), priced(world)
    large = [{"_id": ObjectId(), "name": str(n), "value": "x" * 64_000} for n in range(270)]
    world.db["workty_properties"].insert_many(large)
    ids = [entry["_id"] for entry in large]
    world.db["workties"].update_one({"_id": ObjectId(template)}, {"$set": {"propertiesIds": ids}})
    with pytest.raises(TooLarge):
        Purchases(world.db, world.clock).buy(ObjectId(path.rpartition("/")[2]), ObjectId(template))
    assert world.admin.get(path).get_json()["amount"] == 100
