"""The catalogue over the live API (live API contract, section 4): what is told, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.api.live_ears import Ears, ears
from tests.unit.api.zips import base64_text, zipped

UNKNOWN = "5f" * 12
NO = (500, "UnexpectedError")
CONTEXT = "workties"


@pytest.fixture
def boss(world: Any) -> Any:
    """A second admin, to whom the worktys of these tests belong."""
    client = world.account("boss")
    answer = world.admin.put(f"/accounts/{world.account_id(client)}", {"aclRoleNames": ["admin"]})
    assert answer.status_code == 200
    return client


@pytest.fixture
def heard(world: Any, live_url: str, boss: Any, ann: Any) -> Iterator[Ears]:
    with ears(world, live_url, CONTEXT, boss, ann) as found:
        yield found


def made(heard: Ears, **body: Any) -> Any:
    return heard.asked("sv.workty.add", {"workty": {"name": "tool"} | body})["workty"]


def entry(world: Any, collection: str, name: str) -> dict[str, str]:
    found = world.db[collection].find_one({"name": name})
    return {"id": str(found["_id"]), "name": name}


def test_a_new_workty_has_the_defaults_and_is_told_to_its_owner(world: Any, heard: Ears) -> None:
    told = made(heard, accountId=UNKNOWN, validationStateId=UNKNOWN, propertiesIds=[UNKNOWN], unknown=1)
    assert told == {
        "id": told["id"],
        "name": "tool",
        "desc": "",
        "typeId": entry(world, "workty_types", "inout"),
        "categoryId": entry(world, "workty_categories", "unsorted"),
        "languageTypeId": entry(world, "workty_language_types", "4.4.0"),
        "validationStateId": entry(world, "workty_validation_states", "in progress"),
        "entryPointModuleFileName": "app.js",
        "price": 0,
        "discountPercent": 0,
        "template": False,
        "propertiesIds": [],
    }
    assert heard.answered("sv.workty.refresh", {"workty": {"id": told["id"]}}) == [{"workty": told}]


def test_a_price_is_in_currency_units_when_added_and_in_cents_ever_after(heard: Ears) -> None:
    workty = made(heard, price=1.5, discountPercent=12.5)
    assert (workty["price"], workty["discountPercent"]) == (150, 12.5)
    told = heard.asked("sv.workty.upd", {"workty": {"id": workty["id"], "price": 15}})["workty"]
    assert told == workty | {"price": 15}
    for wrong in ({"price": 1.5}, {"price": -1}, {"discountPercent": 31}, {"name": ""}, {"typeId": UNKNOWN}):
        refused = heard.refused("sv.workty.upd", {"workty": {"id": workty["id"], **wrong}})
        assert refused == (409, "MissingParameter", "")


def test_what_cannot_be_a_workty_is_told_problem_by_problem(heard: Ears) -> None:
    told = heard.one.ask(CONTEXT, "sv.workty.add", {"workty": {"price": 1}})
    assert told["err"]["body"]["error"]["errors"] == [{"message": "Path `name` is required."}]
    wrong = {"workty": {"name": "n", "price": 1.001, "compressedCode": "AAAA", "template": "yes"}}
    told = heard.one.ask(CONTEXT, "sv.workty.add", wrong)["err"]
    assert (told["statusCode"], told["restCode"]) == (409, "MissingParameter")
    problems = " ".join(problem["message"] for problem in told["body"]["error"]["errors"])
    assert all(f"`{name}`" in problems for name in ("price", "compressedCode", "template"))
    assert "compressedCode" not in told["body"]["error"]["inputParameters"]["workty"]


def test_code_is_taken_and_never_told(world: Any, boss: Any, heard: Ears) -> None:
    code = base64_text(zipped(app__js="1"))
    workty = made(heard, compressedCode=code)
    assert "compressedCode" not in workty
    assert boss.get(f"/workties/{workty['id']}").get_json()["compressedCode"]["type"] == "Buffer"
    [told] = heard.answered("sv.workty.refresh", {"workty": {"id": workty["id"]}})
    assert "compressedCode" not in told["workty"]


def test_a_refresh_tells_own_worktys_and_templates(world: Any, heard: Ears) -> None:
    own, template = made(heard), made(heard, name="for all", template=True, price=3)
    everything = [message["workty"] for message in heard.answered("sv.workty.refresh.all", {})]
    assert [workty for workty in everything if workty in (own, template)] == [own, template]
    assert {"with-delay", "without-delay"} <= {workty["name"] for workty in everything}
    visible = [message["workty"] for message in heard.answered("sv.workty.refresh.all", {}, by=heard.stranger)]
    assert visible == [workty for workty in everything if workty["template"]]
    for event in ("sv.workty.refresh", "sv.workty.refresh.all.properties"):
        assert heard.refused(event, {"workty": {"id": own["id"]}}, by=heard.stranger) == (*NO, 2)
        found = heard.answered(event, {"workty": {"id": template["id"]}}, by=heard.stranger)
        assert found == [{"workty": template}]
    page = {"sort": "-name", "per_page": 1}
    [last] = heard.answered("sv.workty.refresh.all", page, by=heard.stranger)
    assert last["workty"]["name"] == max(workty["name"] for workty in visible)


def test_without_worktys_a_refresh_tells_an_empty_one(world: Any, heard: Ears) -> None:
    world.db["workties"].delete_many({})
    assert heard.answered("sv.workty.refresh.all", {}) == [{"workty": {}}]
    assert heard.one.ask(CONTEXT, "sv.workty.refresh.all") == {"err": None, "count": 0}


@pytest.mark.parametrize(
    ("event", "name", "collection"),
    [
        ("sv.workty.refresh.categories.all", "categories", "workty_categories"),
        ("sv.workty.refresh.types.all", "types", "workty_types"),
        ("sv.workty.refresh.language.types.all", "languageTypes", "workty_language_types"),
    ],
)
def test_a_dictionary_is_told_to_the_asker_alone(
    world: Any, heard: Ears, event: str, name: str, collection: str
) -> None:
    [told] = heard.answered(event, {}, by=heard.stranger)
    stored = {str(row["_id"]): row for row in world.db[collection].find()}
    assert list(told) == [name]
    assert {found["id"]: found["name"] for found in told[name]} == {key: row["name"] for key, row in stored.items()}
    for found in told[name]:
        parent = stored[found["id"]].get("parentId")
        assert found.get("parentId") == (None if parent is None else str(parent))
        assert set(found) <= {"id", "name", "parentId"}
    assert heard.stranger.ask(CONTEXT, event)["count"] == len(stored)


def test_a_change_of_a_workty_is_told(world: Any, heard: Ears) -> None:
    workty = made(heard)
    changes = {"name": "better", "desc": "d", "template": True, "entryPointModuleFileName": "main.js"}
    told = heard.asked("sv.workty.upd", {"workty": {"id": workty["id"], **changes}})["workty"]
    assert told == workty | changes
    for nothing in ({}, {"accountId": UNKNOWN}, {"validationStateId": UNKNOWN}):
        refused = heard.refused("sv.workty.upd", {"workty": {"id": workty["id"], **nothing}})
        assert refused == (400, "BadDigest", "")


def test_another_admin_changes_it_and_both_hear_of_it(heard: Ears) -> None:
    workty = made(heard)
    about = {"workty": {"id": workty["id"], "name": "better"}}
    assert heard.asked("sv.workty.upd", about, by=heard.admin)["workty"]["name"] == "better"
    added = {"workty": {"id": workty["id"], "property": {"name": "p"}}}
    assert heard.asked("sv.workty.add.property", added, by=heard.admin)["workty"]["propertiesIds"][0]["name"] == "p"
    gone = {"workty": {"id": workty["id"]}}
    assert heard.asked("sv.workty.del", gone, by=heard.admin) == {"workty": {"id": workty["id"], "deleted": True}}


def test_properties_are_told_with_their_workty(heard: Ears) -> None:
    workty = made(heard)

    def about(**entry: Any) -> dict[str, Any]:
        return {"workty": {"id": workty["id"], "property": entry}}

    first = heard.asked("sv.workty.add.property", about(name="a", value={"x": 1}))["workty"]["propertiesIds"]
    assert [(found["name"], found["value"]) for found in first] == [("a", {"x": 1})]
    told = heard.asked("sv.workty.add.property", about(name="b"))["workty"]
    second = told["propertiesIds"][1]
    assert told == workty | {"propertiesIds": [*first, second]}
    assert (second["name"], second["value"]) == ("b", "")
    changed = heard.asked("sv.workty.upd.property", about(id=second["id"], name="c", value=0))["workty"]
    assert changed["propertiesIds"] == [*first, {"id": second["id"], "name": "c", "value": 0}]
    left = heard.asked("sv.workty.del.property", about(id=first[0]["id"]))["workty"]
    assert left["propertiesIds"] == changed["propertiesIds"][1:]
    whole = {"workty": {"id": workty["id"]}}
    assert heard.answered("sv.workty.refresh.all.properties", whole) == [{"workty": left}]
    assert heard.refused("sv.workty.del.property", about(id=first[0]["id"])) == (*NO, 4)
    assert heard.refused("sv.workty.upd.property", about(id=first[0]["id"], value=1)) == (*NO, 3)
    assert heard.refused("sv.workty.upd.property", about(id=second["id"])) == (400, "BadDigest", "")
    assert heard.refused("sv.workty.add.property", about(value=1)) == (409, "MissingParameter", "")


def test_a_deleted_workty_is_told_once(heard: Ears) -> None:
    about = {"workty": {"id": made(heard)["id"]}}
    assert heard.asked("sv.workty.del", about) == {"workty": about["workty"] | {"deleted": True}}
    assert heard.refused("sv.workty.del", about) == (*NO, 4)


def test_what_is_done_over_rest_is_told_in_the_same_words(boss: Any, heard: Ears) -> None:
    workty = boss.post("/workties", {"name": "tool"}).get_json()["_id"]
    assert heard.told()["workty"]["id"] == workty
    boss.put(f"/workties/{workty}", {"desc": "d"})
    assert heard.told()["workty"]["desc"] == "d"
    added = boss.post(f"/workties/{workty}/properties", {"property": {"name": "p"}}).get_json()["_id"]
    assert heard.told()["workty"]["propertiesIds"] == [{"id": added, "name": "p", "value": ""}]
    boss.put(f"/workties/{workty}/properties/{added}", {"property": {"value": 1}})
    assert heard.told()["workty"]["propertiesIds"][0]["value"] == 1
    boss.delete(f"/workties/{workty}/properties/{added}")
    assert heard.told()["workty"]["propertiesIds"] == []
    boss.delete(f"/workties/{workty}")
    assert heard.told() == {"workty": {"id": workty, "deleted": True}}
    assert boss.put(f"/workties/{workty}", {"desc": "d"}).status_code == 404
    assert heard.heard(heard.one) == []
