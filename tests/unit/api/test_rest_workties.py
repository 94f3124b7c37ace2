"""The catalogue and packages over REST."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

from bson import ObjectId

UNKNOWN = "5f" * 12


def store(world: Any, name: str, **fields: Any) -> str:
    template = world.db["workties"].find_one({"name": "with-delay"})
    stored = template | fields | {"_id": ObjectId(), "name": name}
    world.db["workties"].insert_one(stored)
    return str(stored["_id"])


def names(answer: Any) -> list[str]:
    return [workty["name"] for workty in answer.get_json()]


def test_everybody_sees_the_templates_with_code_and_properties(world: Any, ann: Any) -> None:
    [found] = ann.get("/workties", name="with-delay", embed="properties").get_json()
    assert found["template"] is True
    assert [(p["name"], set(p)) for p in found["propertiesIds"]] == [("delay", {"_id", "name", "value"})]
    code = found["compressedCode"]
    assert code["type"] == "Buffer"
    digest = sha256(bytes(code["data"])).hexdigest()
    assert world.db["workties"].find_one({"name": "with-delay"})["package"]["sha256"] == digest
    assert "package" not in found
    assert ann.get(f"/workties/{found['_id']}", embed="properties").get_json() == found


def test_worktys_of_others_do_not_exist_unless_they_are_templates(world: Any, ann: Any, bob: Any) -> None:
    anns, bobs = (ObjectId(world.account_id(client)) for client in (ann, bob))
    own = store(world, "own", accountId=anns, template=False)
    foreign = store(world, "foreign", accountId=bobs, template=False)
    assert names(ann.get("/workties", template="false")) == ["own"]
    assert {"own", "with-delay"} <= set(names(ann.get("/workties")))
    assert ann.get(f"/workties/{own}").status_code == 200
    told = [ann.get(f"/workties/{id_}") for id_ in (foreign, UNKNOWN, "x")]
    assert {answer.status_code for answer in told} == {404}
    assert names(world.admin.get("/workties", template="false")) == ["own", "foreign"]


def test_code_that_costs_something_is_for_its_owner_and_admins(world: Any, ann: Any, bob: Any) -> None:
    paid = store(world, "paid", accountId=ObjectId(world.account_id(bob)), price=100)
    assert "compressedCode" not in ann.get(f"/workties/{paid}").get_json()
    assert "compressedCode" not in ann.get("/workties", name="paid").get_json()[0]
    assert "compressedCode" in bob.get(f"/workties/{paid}").get_json()
    assert "compressedCode" in world.admin.get(f"/workties/{paid}").get_json()


def test_a_workty_without_code_has_none(world: Any, ann: Any) -> None:
    world.db["workties"].update_one({"name": "with-delay"}, {"$unset": {"package": ""}})
    assert ann.get("/workties", name="with-delay").get_json()[0]["compressedCode"] is None


def test_code_that_is_not_wanted_is_not_read(world: Any, ann: Any) -> None:
    world.settle()
    world.operations.clear()
    assert len(ann.get("/workties", fields="name,propertiesIds", embed="properties").get_json()) >= 2
    assert [collection for collection, _ in world.operations] == [
        "login_failures",
        "accounts",
        "acl_roles",
        "workties",
        "workty_properties",
    ]


def test_numbers_and_flags_are_filtered_by_value(world: Any, ann: Any) -> None:
    store(world, "paid", price=150)
    assert names(ann.get("/workties", price="150")) == ["paid"]
    assert "paid" not in names(ann.get("/workties", price="0", template="TRUE"))
    for name, value in (("price", "1.5"), ("template", "yes"), ("typeId", "in"), ("compressedCode", "x")):
        assert ann.get("/workties", **{name: value}).status_code == 400


def test_a_board_fetches_a_package_with_its_link_and_no_login(world: Any) -> None:
    digest = world.db["workties"].find_one({"name": "with-delay"})["package"]["sha256"]
    url, ends = world.links.url(digest, world.clock())
    assert ends == world.clock() + timedelta(minutes=10)
    board = world.client()
    answer = board.send("GET", url.replace("http://server", ""))
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert sha256(answer.data).hexdigest() == digest


def test_a_link_that_was_changed_or_has_ended_opens_nothing(world: Any) -> None:
    digest = world.db["workties"].find_one({"name": "with-delay"})["package"]["sha256"]
    other = world.db["workties"].find_one({"name": "without-delay"})["package"]["sha256"]
    good = world.links.url(digest, world.clock())[0].replace("http://server", "")
    board = world.client()
    for bad in (
        good.replace(digest, other),
        good.replace("expires=1", "expires=2"),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.split("&", maxsplit=1)[0],
        good.split("?", maxsplit=1)[0],
        good + "%C3%A4",
        good.replace("expires=", "expires=%C2%B2"),
    ):
        assert board.send("GET", bad).status_code == 403, bad
    world.clock.pass_time(minutes=10)
    assert board.send("GET", good).status_code == 403


def test_a_link_to_a_package_that_is_gone_is_not_found(world: Any) -> None:
    url = world.links.url("0" * 64, world.clock())[0].replace("http://server", "")
    assert world.client().send("GET", url).status_code == 404
