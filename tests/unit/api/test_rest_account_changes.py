"""Lists, changes and removals of accounts over REST."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

UNKNOWN = "5f" * 12
REGULAR = "Fields that can be changed: name, email, password, oauthID"


def problems(answer: Any) -> list[str]:
    assert answer.status_code == 409
    return [problem["message"] for problem in answer.get_json()["error"]["errors"]]


def stored(world: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = world.db["accounts"].find_one({"name": name})
    assert found is not None
    return found


@pytest.fixture
def own(world: Any, ann: Any) -> str:
    return f"/accounts/{world.account_id(ann)}"


@pytest.fixture
def supervisor(world: Any) -> str:
    return f"/accounts/{world.account_id(world.admin)}"


def test_an_admin_lists_all_accounts_and_another_one_itself(world: Any, ann: Any, bob: Any) -> None:
    world.admin.delete(f"/accounts/{world.account_id(bob)}")
    assert [a["name"] for a in world.admin.get("/accounts").get_json()] == ["supervisor", "ann", "bob"]
    assert [a["name"] for a in world.admin.get("/accounts", removed="true").get_json()] == ["bob"]
    assert [a["name"] for a in world.admin.get("/accounts", sort="-name", per_page=2).get_json()] == [
        "supervisor",
        "bob",
    ]
    assert [a["name"] for a in ann.get("/accounts", count="true").get_json()] == ["ann"]
    assert ann.get("/accounts", name="supervisor").get_json() == []


@pytest.mark.parametrize("name", ["password", "emailKey", "aclRoleNames", "passwordGenerated", "purchases"])
def test_accounts_cannot_be_filtered_by_what_is_no_plain_field(world: Any, name: str) -> None:
    answer = world.admin.get("/accounts", **{name: "x"})
    assert answer.status_code == 400
    assert name in answer.get_json()["error"]["message"]


def test_no_answer_has_anything_of_the_password(world: Any, ann: Any, own: str) -> None:
    fields = {"_id", "name", "email", "oauthID", "aclRoleNames", "amount", "removed", "created"}
    answers = [ann.get(own), ann.put(own, {"password": "new"}), world.admin.get(own)]
    assert [set(answer.get_json()) for answer in answers] == [fields] * 3


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({"name": "Ann"}, {"name": "Ann"}),
        ({"name": ""}, {"name": ""}),
        ({"name": None}, {"name": ""}),
        ({"email": "New@Mail"}, {"email": "New@Mail"}),
        ({"email": "ANN@mail"}, {"email": "ANN@mail"}),
        ({"oauthID": "x"}, {"oauthID": "x"}),
        ({"name": "n", "aclRoleNames": ["admin"], "amount": 5, "removed": True}, {"name": "n"}),
        ({"name": "n", "_id": UNKNOWN, "id": UNKNOWN, "created": "x", "accountId": UNKNOWN}, {"name": "n"}),
    ],
)
def test_an_account_changes_itself_but_not_what_only_admins_may(
    world: Any, ann: Any, own: str, change: dict[str, Any], after: dict[str, Any]
) -> None:
    before = ann.get(own).get_json()
    answer = ann.put(own, change)
    assert answer.status_code == 200
    assert answer.get_json() == before | after
    assert world.admin.get(own).get_json() == before | after


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({"aclRoleNames": ["regular", "admin", "admin"]}, {"aclRoleNames": ["regular", "admin"]}),
        ({"aclRoleNames": "admin"}, {"aclRoleNames": ["admin"]}),
        ({"aclRoleNames": []}, {"aclRoleNames": []}),
        ({"amount": 150}, {"amount": 150}),
        ({"amount": 0}, {"amount": 0}),
        ({"amount": 2**53 - 1}, {"amount": 2**53 - 1}),
        ({"removed": False}, {"removed": False}),
    ],
)
def test_an_admin_changes_everything(world: Any, own: str, change: dict[str, Any], after: dict[str, Any]) -> None:
    before = world.admin.get(own).get_json()
    assert world.admin.put(own, change).get_json() == before | after


@pytest.mark.parametrize("body", [{}, {"amount": 5}, {"removed": True, "aclRoleNames": "admin"}, {"created": "x"}])
def test_nothing_to_change_is_told(world: Any, ann: Any, own: str, body: dict[str, Any]) -> None:
    answer = ann.put(own, body)
    assert answer.status_code == 400
    assert REGULAR in answer.get_json()["error"]["message"]
    assert world.admin.put(own, {"_id": UNKNOWN}).status_code == 400
    assert (stored(world, "ann")["amount"], stored(world, "ann")["removed"]) == (0, False)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"email": ""}, "Path `email` is required."),
        ({"email": None}, "Path `email` is required."),
        ({"email": " "}, "Path `email` is required."),
        ({"email": "nobody"}, "Path `email` is not an e-mail address."),
        ({"email": "SUPERVISOR@localhost"}, "Path `email` is already in use."),
        ({"email": "x@" + "y" * 255}, "Path `email` is longer than the maximum allowed length (256)."),
        ({"name": 5}, "Path `name` is not a text."),
        ({"name": "x" * 257}, "Path `name` is longer than the maximum allowed length (256)."),
        ({"oauthID": []}, "Path `oauthID` is not a text."),
        ({"password": ""}, "Path `password` is required."),
        ({"password": None}, "Path `password` is required."),
        ({"password": 5}, "Path `password` is not a text."),
        ({"password": "x" * 1025}, "Path `password` is longer than the maximum allowed length (1024)."),
        ({"aclRoleNames": None}, "Path `aclRoleNames` is required."),
        ({"aclRoleNames": ["king"]}, "Path `aclRoleNames` (king) is no role."),
        ({"aclRoleNames": {}}, "Path `aclRoleNames` is not a list of texts."),
        ({"amount": -1}, "Path `amount` (-1) is less than minimum allowed value (0)."),
        ({"amount": 2**53}, "Path `amount` (9007199254740992) is more than maximum allowed value (9007199254740991)."),
        ({"amount": 1.5}, "Path `amount` (1.5) has more than the allowed number of decimal places (0)."),
        ({"amount": "5"}, "Path `amount` is not a number."),
        ({"amount": True}, "Path `amount` is not a number."),
        ({"amount": None}, "Path `amount` is required."),
        ({"removed": "yes"}, "Path `removed` is not true or false."),
        ({"removed": None}, "Path `removed` is required."),
    ],
)
def test_a_wrong_change_is_refused_with_the_reason(world: Any, own: str, body: dict[str, Any], problem: str) -> None:
    before = stored(world, "ann")
    assert problems(world.admin.put(own, {"name": "changed", **body})) == [problem]
    assert stored(world, "ann") == before


def test_the_email_of_a_removed_account_stays_taken(world: Any, ann: Any, bob: Any, own: str) -> None:
    assert ann.delete(own).status_code == 204
    answer = bob.put(f"/accounts/{world.account_id(bob)}", {"email": "Ann@Mail"})
    assert problems(answer) == ["Path `email` is already in use."]


def test_other_accounts_do_not_exist_for_a_regular_one(world: Any, ann: Any, bob: Any) -> None:
    other = f"/accounts/{world.account_id(bob)}"
    for path in (other, f"/accounts/{UNKNOWN}", "/accounts/me"):
        answers = [ann.get(path), ann.put(path, {"name": "x", "amount": -1}), ann.delete(path)]
        assert [(a.status_code, a.get_json()["error"]["code"]) for a in answers] == [(404, 2)] * 3
    assert stored(world, "bob")["removed"] is False


def test_a_new_password_is_hashed_and_ends_the_old_one_and_all_tokens_at_once(world: Any, ann: Any, own: str) -> None:
    bearer = world.client()
    bearer.authorization = f"Bearer {ann.post('/tokens').get_json()['token']}"
    assert bearer.get(own).status_code == ann.get(own).status_code == 200
    assert bearer.put(own, {"password": "new"}).status_code == 200
    assert bearer.get(own).status_code == ann.get(own).status_code == 401
    assert world.client("ann@mail", "new").get(own).status_code == 200
    assert stored(world, "ann")["password"].startswith("$argon2")
    assert world.db["tokens"].count_documents({"accountId": ObjectId(own.rpartition("/")[2])}) == 0


def test_a_removed_account_is_shut_out_its_runs_stop_and_an_admin_recovers_it(world: Any, ann: Any, own: str) -> None:
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    bearer = world.client()
    bearer.authorization = f"Bearer {ann.post('/tokens').get_json()['token']}"
    assert ann.delete(own).status_code == 204
    assert ("stop", ObjectId(workflow)) in world.runs.told
    refused = ann.get(own)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (403, 14)
    assert bearer.get(own).status_code in {401, 403}
    removed = world.admin.get(own).get_json()
    assert (removed["removed"], removed["removedDate"]) == (True, "2026-01-02T03:04:05.000Z")
    world.clock.pass_time(hours=1)
    assert world.admin.delete(own).status_code == 204
    assert world.admin.get(own).get_json() == removed
    recovered = world.admin.put(own, {"removed": False}).get_json()
    assert "removedDate" not in recovered
    assert ann.get("/workflows").get_json()[0]["_id"] == workflow


def test_an_admin_may_remove_by_put_too(world: Any, ann: Any, own: str) -> None:
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    answer = world.admin.put(own, {"removed": True, "name": "gone"}).get_json()
    assert (answer["name"], answer["removed"], answer["removedDate"]) == ("gone", True, "2026-01-02T03:04:05.000Z")
    assert ("stop", ObjectId(workflow)) in world.runs.told
    assert ann.get(own).status_code == 403


@pytest.mark.parametrize(
    "options", [{"query_string": {"removing": "true"}}, {"json": {"removing": True}}, {"json": {"removing": "TRUE"}}]
)
def test_an_erased_account_is_gone_with_what_is_its_own(world: Any, ann: Any, own: str, options: Any) -> None:
    key = ObjectId(own.rpartition("/")[2])
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    template = world.template("with-delay")
    ann.post(f"/workflows/{workflow}/worktiesInstances", {"worktyId": template})
    payment = ann.post("/payments", {"worktyId": template}).get_json()
    world.db["workties"].insert_one(
        {**world.db["workties"].find_one({"_id": ObjectId(template)}), "_id": ObjectId(), "accountId": key}
    )
    world.db["ui_settings"].insert_one({"accountId": key, "json": "{}"})
    packages = world.db["packages"].count_documents({})
    answer = ann.send("DELETE", own, **options)
    assert (answer.status_code, answer.data) == (204, b"")
    assert ("stop", ObjectId(workflow)) in world.runs.told
    for collection in ("workflows", "workty_instances", "ui_settings", "tokens"):
        assert world.db[collection].count_documents({}) == 0, collection
    assert [w["template"] for w in world.db["workties"].find({"accountId": key})] == [True]
    kept = {id_ for workty in world.db["workties"].find() for id_ in workty["propertiesIds"]}
    assert {p["_id"] for p in world.db["workty_properties"].find()} == kept
    assert world.db["packages"].count_documents({}) == packages
    assert world.admin.get(f"/payments/{payment['_id']}").get_json() == payment
    assert ann.get(own).status_code == 401
    assert world.admin.get(own).status_code == 404
    assert world.admin.post("/accounts", {"email": "ann@mail"}).status_code == 201


@pytest.mark.parametrize("removing", ["false", "1", "", None])
def test_an_account_is_erased_only_if_that_is_asked_for(world: Any, ann: Any, own: str, removing: Any) -> None:
    assert ann.send("DELETE", own, json={"removing": removing}).status_code == 204
    assert world.admin.get(own).get_json()["removed"] is True


@pytest.mark.parametrize(
    ("method", "body"),
    [("DELETE", {}), ("DELETE", {"removing": True}), ("PUT", {"removed": True}), ("PUT", {"aclRoleNames": "regular"})],
)
def test_the_last_admin_stays(world: Any, own: str, supervisor: str, method: str, body: dict[str, Any]) -> None:
    [problem] = problems(world.admin.send(method, supervisor, json=body))
    assert "last admin" in problem
    assert world.admin.get(supervisor).get_json()["aclRoleNames"] == ["admin"]
    assert world.admin.put(own, {"aclRoleNames": ["admin"]}).status_code == 200
    assert world.admin.send(method, supervisor, json=body).status_code in {200, 204}


def test_a_removed_admin_is_no_admin_that_counts(world: Any, own: str, supervisor: str) -> None:
    world.admin.put(own, {"aclRoleNames": ["admin"]})
    world.admin.delete(own)
    assert "last admin" in problems(world.admin.delete(supervisor))[0]


def test_two_admins_who_remove_each_other_at_once_do_not_both_succeed(world: Any, ann: Any, own: str) -> None:
    """While one removal is under way, its account counts as gone for the other one."""
    world.admin.put(own, {"aclRoleNames": ["admin"]})
    other = {"account": ObjectId(own.rpartition("/")[2]), "since": world.clock()}
    world.db["settings"].update_one({"_id": "admins"}, {"$set": {"version": 1, "leaving": [other]}}, upsert=True)
    supervisor = f"/accounts/{world.account_id(world.admin)}"
    assert "last admin" in problems(ann.delete(supervisor))[0]
    world.clock.pass_time(minutes=1)
    assert ann.delete(supervisor).status_code == 204
