"""Accounts, credentials and tokens over REST."""

from __future__ import annotations

from typing import Any

import pytest

UNKNOWN = "5f" * 12


def problems(answer: Any) -> list[str]:
    assert answer.status_code == 409
    return [problem["message"] for problem in answer.get_json()["error"]["errors"]]


def test_an_account_without_a_password_is_told_one_once(world: Any) -> None:
    answer = world.admin.post("/accounts", {"name": "myaccount", "email": "myemail@mail.com", "password": None})
    account = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost/api/v1/accounts/{account['_id']}"
    initial = account.pop("initialPassword")
    assert account == {
        "_id": account["_id"],
        "name": "myaccount",
        "email": "myemail@mail.com",
        "oauthID": "",
        "aclRoleNames": ["regular"],
        "amount": 0,
        "removed": False,
        "created": "2026-01-02T03:04:05.000Z",
    }
    assert len(initial) >= 22
    own = world.client("MyEmail@mail.com", initial)
    assert own.get(f"/accounts/{account['_id']}").get_json() == account
    assert world.client("myaccount", "myemail@mail.com").get("/workflows").status_code == 401


def test_an_account_with_a_password_is_not_told_one(world: Any) -> None:
    created = world.admin.post("/accounts", {"email": "a@b", "password": "p:ä", "aclRoleNames": "admin"}).get_json()
    assert created["aclRoleNames"] == ["admin"]
    assert not {"initialPassword", "password"} & set(created)
    assert world.client("a@b", "p:ä").get(f"/accounts/{created['_id']}").status_code == 200


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "Path `email` is required."),
        ({"email": " "}, "Path `email` is required."),
        ({"email": None}, "Path `email` is required."),
        ({"email": "nobody"}, "Path `email` is not an e-mail address."),
        ({"email": "@x"}, "Path `email` is not an e-mail address."),
        ({"email": "x@"}, "Path `email` is not an e-mail address."),
        ({"email": "x@y@z"}, "Path `email` is not an e-mail address."),
        ({"email": "supervisor@LOCALHOST"}, "Path `email` is already in use."),
        ({"email": "x@" + "y" * 255}, "Path `email` is longer than the maximum allowed length (256)."),
        ({"email": "x@y", "name": 5}, "Path `name` is not a text."),
        ({"email": "x@y", "name": "\ud800"}, "Path `name` is not a text."),
        ({"email": "x@y", "password": 5}, "Path `password` is not a text."),
        ({"email": "x@y", "aclRoleNames": ["regular", "king"]}, "Path `aclRoleNames` (king) is no role."),
        ({"email": "x@y", "aclRoleNames": 5}, "Path `aclRoleNames` is not a list of texts."),
        ({"email": "x@y", "aclRoleNames": [{}]}, "Path `aclRoleNames` is not a list of texts."),
    ],
)
def test_a_wrong_account_is_refused_with_the_reason(world: Any, body: dict[str, Any], problem: str) -> None:
    assert problems(world.admin.post("/accounts", body)) == [problem]
    assert world.db["accounts"].count_documents({}) == 1


def test_all_problems_are_told_at_once(world: Any) -> None:
    assert len(problems(world.admin.post("/accounts", {"email": "x", "name": 5, "oauthID": []}))) == 3


def test_a_second_account_with_the_same_email_is_refused_also_if_the_first_is_removed(world: Any, ann: Any) -> None:
    world.db["accounts"].update_one({"name": "ann"}, {"$set": {"removed": True}})
    assert problems(world.admin.post("/accounts", {"email": "ANN@mail"})) == ["Path `email` is already in use."]


def test_only_admins_make_accounts(ann: Any) -> None:
    answer = ann.post("/accounts", {})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, 13)


def test_a_regular_account_sees_itself_and_an_admin_everybody(world: Any, ann: Any, bob: Any) -> None:
    own, other = world.account_id(ann), world.account_id(bob)
    assert ann.get(f"/accounts/{own}", fields="email").get_json() == {"_id": own, "email": "ann@mail"}
    assert world.admin.get(f"/accounts/{other}").get_json()["name"] == "bob"
    foreign, unknown, malformed = (ann.get(f"/accounts/{id_}") for id_ in (other, UNKNOWN, "me"))
    assert foreign.status_code == unknown.status_code == malformed.status_code == 404
    assert foreign.get_json()["error"]["code"] == 2
    assert "password" not in world.admin.get(f"/accounts/{own}", fields="password,emailKey").get_json()


def test_a_removed_account_is_told_so_only_with_its_credentials(world: Any, ann: Any) -> None:
    world.db["accounts"].update_one({"name": "ann"}, {"$set": {"removed": True}})
    answer = ann.get("/workflows")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, 14)
    assert world.client("ann@mail", "wrong").get("/workflows").status_code == 401


def test_a_role_change_is_in_force_at_the_next_request(world: Any, ann: Any) -> None:
    assert ann.post("/accounts", {}).status_code == 403
    world.db["accounts"].update_one({"name": "ann"}, {"$set": {"aclRoleNames": ["regular", "admin"]}})
    assert ann.post("/accounts", {}).status_code == 409
    world.db["acl_roles"].update_one({"name": "admin"}, {"$set": {"allows": []}})
    assert ann.post("/accounts", {}).status_code == 403


def test_a_verified_password_is_not_hashed_again_within_a_minute(world: Any, ann: Any) -> None:
    world.hasher.verified = 0
    for _ in range(5):
        assert ann.get("/workflows").status_code == 200
    assert world.hasher.verified == 1
    world.clock.pass_time(seconds=60)
    assert ann.get("/workflows").status_code == 200
    assert world.hasher.verified == 2


def test_a_changed_password_ends_the_old_one_and_its_tokens_at_once(world: Any, ann: Any) -> None:
    bearer = world.client()
    bearer.authorization = f"Bearer {ann.post('/tokens').get_json()['token']}"
    assert ann.get("/workflows").status_code == bearer.get("/workflows").status_code == 200
    world.db["accounts"].update_one({"name": "ann"}, {"$set": {"password": world.hasher.hash("new")}})
    assert ann.get("/workflows").status_code == bearer.get("/workflows").status_code == 401
    assert world.client("ann@mail", "new").get("/workflows").status_code == 200


def test_an_unknown_email_costs_as_much_as_a_wrong_password(world: Any) -> None:
    world.hasher.verified = 0
    assert world.client("nobody@mail", "x").get("/workflows").status_code == 401
    assert world.hasher.verified == 1


def test_a_token_lives_for_a_day_and_needs_no_hash(world: Any, ann: Any) -> None:
    answer = ann.post("/tokens")
    issued = answer.get_json()
    assert answer.status_code == 201
    assert (issued["tokenType"], issued["expiresIn"]) == ("bearer", 86400)
    assert len(issued["token"]) >= 43
    assert world.db["tokens"].count_documents({"_id": issued["token"]}) == 0
    bearer = world.client()
    bearer.authorization = f"Bearer {issued['token']}"
    world.hasher.verified = 0
    assert bearer.get(f"/accounts/{issued['accountId']}").get_json()["name"] == "ann"
    assert world.hasher.verified == 0
    world.clock.pass_time(hours=24)
    assert bearer.get("/workflows").status_code == 401


def test_a_token_can_be_revoked_by_itself_only(world: Any, ann: Any) -> None:
    bearer = world.client()
    bearer.authorization = f"Bearer {ann.post('/tokens').get_json()['token']}"
    assert ann.delete("/tokens/current").status_code == 404
    assert bearer.delete("/tokens/current").status_code == 204
    assert bearer.get("/workflows").status_code == bearer.delete("/tokens/current").status_code == 401


def test_a_token_gives_no_further_token(world: Any, ann: Any) -> None:
    bearer = world.client()
    bearer.authorization = f"Bearer {ann.post('/tokens').get_json()['token']}"
    assert bearer.post("/tokens").status_code == 401


def test_a_token_is_given_without_a_body_too(ann: Any) -> None:
    assert ann.send("POST", "/tokens").status_code == 201
