"""Operations on accounts over the live API (live API contract, section 4), row by row.

That sockets are closed when their token ends is tested in `tests/integration/live/test_token_ends.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId

from tests.unit.api.live_client import LiveClient
from tests.unit.api.live_errors import BAD, INVALID, UNKNOWN, kind_of, no, problems_of

CHANGED = "sv.account.changed"
FIELDS = {"id", "name", "email", "oauthID", "aclRoleNames", "amount", "removed", "removedDate", "created"}


@pytest.fixture
def admin(world: Any, live_url: str, ann: Any) -> Iterator[LiveClient]:
    """The administrator, connected to accounts after ann was added."""
    world.settle()
    with LiveClient(live_url, world.admin.post("/tokens").get_json(), "accounts") as client:
        yield client


@pytest.fixture
def own(world: Any, live_url: str, ann: Any) -> Iterator[LiveClient]:
    """Ann, connected to accounts."""
    world.settle()
    with LiveClient(live_url, ann.post("/tokens").get_json(), "accounts") as client:
        yield client


def heard(world: Any, client: LiveClient) -> list[Any]:
    """What a client has heard of accounts when everything that was changed before is told."""
    world.settle()
    client.ask("accounts", "sv.marker")
    return client.taken("accounts", CHANGED)[:-1]


# --- reading


def test_a_regular_account_sees_itself_alone(world: Any, live_url: str, own: LiveClient, bob: Any) -> None:
    told = own.ask("accounts", "sv.account.refresh.all", {"requestId": "all"})
    assert told == {"err": None, "requestId": "all", "count": 1}
    [message] = own.taken("accounts", CHANGED)
    assert message == {
        "err": None,
        "requestId": "all",
        "account": {
            "id": own.account,
            "name": "ann",
            "email": "ann@mail",
            "oauthID": "",
            "aclRoleNames": ["regular"],
            "amount": 0,
            "removed": False,
            "removedDate": None,
            "created": "2026-01-02T03:04:05.000Z",
        },
    }
    assert own.ask("accounts", "sv.account.refresh", {"account": {"id": own.account}}) == {"err": None, "count": 1}
    assert own.next("accounts", CHANGED)["account"] == message["account"]
    strange = own.ask("accounts", "sv.account.refresh", {"account": {"id": world.account_id(bob)}})
    assert kind_of(strange) == no(2)


def test_an_administrator_sees_all_accounts_in_pages(world: Any, admin: LiveClient, ann: Any, bob: Any) -> None:
    heard(world, admin)
    assert admin.ask("accounts", "sv.account.refresh.all")["count"] == 3
    assert [message["account"]["name"] for message in admin.taken("accounts", CHANGED)][1:] == ["ann", "bob"]
    page = {"per_page": 2, "page_num": 1, "sort": "-email", "name": "ann"}
    assert admin.ask("accounts", "sv.account.refresh.all", page)["count"] == 2
    told = [message["account"]["email"] for message in admin.taken("accounts", CHANGED)]
    assert told == ["supervisor@localhost", "bob@mail"]
    assert admin.ask("accounts", "sv.account.refresh", {"account": {"id": world.account_id(ann)}})["count"] == 1
    assert admin.next("accounts", CHANGED)["account"]["name"] == "ann"


def test_answers_to_a_refresh_reach_no_other_socket(world: Any, live_url: str, own: LiveClient, ann: Any) -> None:
    with LiveClient(live_url, ann.post("/tokens").get_json(), "accounts") as beside:
        own.ask("accounts", "sv.account.refresh.all")
        assert heard(world, beside) == []


# --- adding


def test_a_new_account_is_told_to_who_added_it(world: Any, live_url: str, admin: LiveClient, own: LiveClient) -> None:
    with LiveClient(live_url, world.admin.post("/tokens").get_json(), "accounts") as beside:
        sent = {"email": "eve@mail", "name": "eve", "password": "sesame", "oauthID": "o", "amount": 5, "other": 1}
        told = admin.ask("accounts", "sv.account.add", {"account": sent, "requestId": 1})
        assert told == {"err": None, "requestId": 1}
        [message] = admin.taken("accounts", CHANGED)
        assert message["requestId"] == 1
        assert set(message["account"]) == FIELDS
        expected = {"email": "eve@mail", "name": "eve", "oauthID": "o", "aclRoleNames": ["regular"], "amount": 0}
        assert message["account"] == message["account"] | expected
        assert heard(world, beside) == [message]
        assert heard(world, own) == []
    assert world.account_id(world.client("eve@mail", "sesame")) == message["account"]["id"]


def test_a_new_account_gets_the_roles_that_are_named(world: Any, admin: LiveClient) -> None:
    sent = {"email": "eve@mail", "password": "x", "aclRoleNames": ["admin", "regular"]}
    admin.ask("accounts", "sv.account.add", {"account": sent})
    assert admin.next("accounts", CHANGED)["account"]["aclRoleNames"] == ["admin", "regular"]


def test_no_password_is_ever_told(world: Any, admin: LiveClient) -> None:
    told = [admin.ask("accounts", "sv.account.add", {"account": {"email": "eve@mail"}})]
    told += [admin.ask("accounts", "sv.account.add", {"account": {"email": "eve@mail", "password": "sesame"}})]
    told += admin.taken("accounts", CHANGED)
    stored = world.db["accounts"].find_one({"email": "eve@mail"})
    assert "sesame" not in str(told)
    assert stored["password"] not in str(told)
    assert "assword" not in str(told)


# --- changing


def test_a_change_is_told_to_all_sockets_of_the_account(
    world: Any, live_url: str, admin: LiveClient, own: LiveClient, ann: Any
) -> None:
    with LiveClient(live_url, ann.post("/tokens").get_json(), "accounts") as beside:
        sent = {"id": own.account, "name": "Ann", "email": "a@mail", "aclRoleNames": ["admin"], "amount": 9}
        assert own.ask("accounts", "sv.account.upd", {"account": sent, "requestId": 1}) == {"err": None, "requestId": 1}
        [message] = own.taken("accounts", CHANGED)
        expected = {"name": "Ann", "email": "a@mail", "aclRoleNames": ["regular"], "amount": 0}
        assert message["account"] == message["account"] | expected
        assert set(message["account"]) == FIELDS
        assert heard(world, beside) == [message]
        assert heard(world, admin) == []


def test_an_administrators_change_is_told_to_both(world: Any, admin: LiveClient, own: LiveClient, ann: Any) -> None:
    sent = {"id": own.account, "amount": 250, "aclRoleNames": ["admin"]}
    admin.ask("accounts", "sv.account.upd", {"account": sent, "requestId": 1})
    [message] = admin.taken("accounts", CHANGED)
    assert (message["account"]["amount"], message["account"]["aclRoleNames"]) == (250, ["admin"])
    assert heard(world, own) == [message]
    assert ann.get(f"/accounts/{own.account}").get_json()["amount"] == 250


def test_changes_over_rest_are_told_without_a_request(world: Any, admin: LiveClient, own: LiveClient) -> None:
    world.admin.put(f"/accounts/{own.account}", {"amount": 3})
    [message] = heard(world, own)
    assert set(message) == {"err", "account"}
    assert heard(world, admin) == [message]
    assert message["account"]["amount"] == 3


def test_a_removed_account_that_is_recovered_over_rest_is_told(world: Any, admin: LiveClient, ann: Any) -> None:
    account = world.account_id(ann)
    heard(world, admin)
    for removed in (True, False):
        world.admin.put(f"/accounts/{account}", {"removed": removed})
        [message] = heard(world, admin)
        assert (message["account"]["id"], message["account"]["removed"]) == (account, removed)
        assert (message["account"]["removedDate"] is not None) is removed


# --- deleting


@pytest.mark.parametrize(("removing", "left"), [({}, True), ({"removing": False}, True), ({"removing": True}, False)])
def test_a_deleted_account_is_told_to_itself_and_who_deleted_it(
    world: Any, admin: LiveClient, own: LiveClient, removing: dict[str, Any], left: bool
) -> None:
    payload = {"account": {"id": own.account, **removing}, "requestId": 1}
    assert admin.ask("accounts", "sv.account.del", payload) == {"err": None, "requestId": 1}
    message = {"err": None, "account": {"id": own.account, "deleted": True}, "requestId": 1}
    assert admin.taken("accounts", CHANGED) == [message]
    assert own.next("accounts", CHANGED) == message
    stored = world.db["accounts"].find_one({"_id": ObjectId(own.account)})
    assert (stored is not None) is left
    assert stored is None or stored["removed"]


def test_an_account_deletes_itself(world: Any, own: LiveClient, ann: Any) -> None:
    told = own.ask("accounts", "sv.account.del", {"account": {"id": own.account}})
    assert told == {"err": None}
    assert own.taken("accounts", CHANGED) == [{"err": None, "account": {"id": own.account, "deleted": True}}]
    assert kind_of(own.ask("accounts", "sv.account.refresh.all")) == (401, "InvalidCredentials", "")
    assert ann.get("/accounts").status_code == 403


def test_what_an_erased_account_owned_is_gone(world: Any, admin: LiveClient, own: LiveClient, ann: Any) -> None:
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    ann.post("/payments", {"worktyId": world.template("with-delay")})
    admin.ask("accounts", "sv.account.del", {"account": {"id": own.account, "removing": True}})
    key = ObjectId(own.account)
    assert world.db["workflows"].find_one({"_id": ObjectId(workflow)}) is None
    assert world.db["workties"].find_one({"accountId": key}) is None


def test_a_deletion_over_rest_is_told(world: Any, admin: LiveClient, own: LiveClient) -> None:
    world.admin.delete(f"/accounts/{own.account}")
    message = {"err": None, "account": {"id": own.account, "deleted": True}}
    assert heard(world, admin) == [message]
    assert own.next("accounts", CHANGED) == message


def test_the_last_administrator_stays(world: Any, admin: LiveClient) -> None:
    told = [
        admin.ask("accounts", "sv.account.del", {"account": {"id": admin.account}}),
        admin.ask("accounts", "sv.account.del", {"account": {"id": admin.account, "removing": True}}),
        admin.ask("accounts", "sv.account.upd", {"account": {"id": admin.account, "aclRoleNames": ["regular"]}}),
    ]
    assert [kind_of(answer) for answer in told] == [INVALID] * 3
    assert all("the last admin stays an admin" in problems_of(answer)[0] for answer in told)
    assert admin.taken("accounts", CHANGED) == told
    assert world.admin.get(f"/accounts/{admin.account}").get_json()["aclRoleNames"] == ["admin"]


# --- errors


@pytest.mark.parametrize(
    ("who", "event", "payload", "expected"),
    [
        ("ann", "refresh", {}, BAD),
        ("ann", "refresh", {"account": {"id": 0}}, BAD),
        ("ann", "refresh", {"account": "own"}, BAD),
        ("ann", "refresh", {"account": {"id": "x"}}, no(2)),
        ("admin", "refresh", {"account": {"id": UNKNOWN}}, no(2)),
        ("ann", "add", {"account": {"email": "e@mail"}}, no(13)),
        ("ann", "add", {}, no(13)),
        ("admin", "add", {}, BAD),
        ("admin", "add", {"account": []}, BAD),
        ("admin", "add", {"account": {"name": "x"}}, INVALID),
        ("admin", "add", {"account": {"email": "no-address"}}, INVALID),
        ("admin", "add", {"account": {"email": "ANN@mail"}}, INVALID),
        ("admin", "add", {"account": {"email": "e@mail", "aclRoleNames": ["king"]}}, INVALID),
        ("ann", "upd", {"account": {"name": "x"}}, BAD),
        ("ann", "upd", {"account": {"id": "own"}}, BAD),
        ("ann", "upd", {"account": {"id": "own", "amount": 5, "aclRoleNames": ["admin"]}}, BAD),
        ("ann", "upd", {"account": {"id": "own", "email": ""}}, INVALID),
        ("ann", "upd", {"account": {"id": "own", "email": "bob@mail"}}, INVALID),
        ("ann", "upd", {"account": {"id": "own", "name": 5}}, INVALID),
        ("ann", "upd", {"account": {"id": "bob", "name": "x"}}, no(3)),
        ("ann", "upd", {"account": {"id": UNKNOWN, "name": 5}}, no(3)),
        ("admin", "upd", {"account": {"id": "x", "name": "x"}}, no(3)),
        ("admin", "upd", {"account": {"id": "own", "amount": -1}}, INVALID),
        ("ann", "del", {}, BAD),
        ("ann", "del", {"account": {"id": "bob"}}, no(4)),
        ("ann", "del", {"account": {"id": "x"}}, no(4)),
        ("admin", "del", {"account": {"id": UNKNOWN}}, no(4)),
    ],
)
def test_a_wrong_request_changes_nothing_and_tells_only_the_asker(  # noqa: PLR0917 - fixtures and parameters
    world: Any,
    admin: LiveClient,
    own: LiveClient,
    bob: Any,
    who: str,
    event: str,
    payload: dict[str, Any],
    expected: Any,
) -> None:
    heard(world, admin)
    ids = {"own": own.account, "bob": world.account_id(bob)}
    about = payload.get("account")
    if isinstance(about, dict) and about.get("id") in ids:
        payload = {"account": about | {"id": ids[about["id"]]}}
    asker, beside = (admin, own) if who == "admin" else (own, admin)
    before = world.admin.get("/accounts").get_json()
    told = asker.ask("accounts", f"sv.account.{event}", payload | {"requestId": 5})
    assert kind_of(told) == expected
    assert told["err"]["body"]["error"]["inputParameters"] == payload
    assert asker.taken("accounts", CHANGED) == [{"err": told["err"], "requestId": 5}]
    assert heard(world, beside) == []
    assert world.admin.get("/accounts").get_json() == before
