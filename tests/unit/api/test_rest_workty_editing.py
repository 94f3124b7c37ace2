"""What admins do to the catalogue over REST: fields, defaults, and deleting with all that hangs on it."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest
from bson import ObjectId

from tests.unit.api.zips import APP, base64_text, buffer, named, zipped
from tests.unit.workties import archives

UNKNOWN = "5f" * 12
LONG = "x" * 257


def entry(world: Any, collection: str, name: str) -> str:
    return str(world.db[collection].find_one({"name": name})["_id"])


def made(world: Any, **body: Any) -> Any:
    answer = world.admin.post("/workties", {"name": "tool"} | body)
    assert answer.status_code == 201, answer.get_json()
    return answer.get_json()


def problems(answer: Any) -> list[str]:
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "")
    return [problem["message"] for problem in answer.get_json()["error"]["errors"]]


def content(world: Any) -> str:
    """All that is stored of worktys and what they are in, but for when it is to be thrown away."""
    names = ("workties", "workty_properties", "workty_instances", "workflows", "packages")
    return repr([(name, world.db[name].find(sort=[("_id", 1)]).to_list()) for name in names])


def code_of(workty: Any) -> bytes:
    return bytes(workty["compressedCode"]["data"])


# --- POST


def test_a_new_workty_has_the_defaults_of_the_contract(world: Any) -> None:
    answer = world.admin.post("/workties", {"name": "tool"})
    workty = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost/api/v1/workties/{workty['_id']}"
    unsorted = world.db["workty_categories"].find_one({"name": "unsorted", "parentId": None})
    assert workty == {
        "_id": workty["_id"],
        "name": "tool",
        "desc": "",
        "accountId": world.account_id(world.admin),
        "typeId": entry(world, "workty_types", "inout"),
        "categoryId": str(unsorted["_id"]),
        "languageTypeId": entry(world, "workty_language_types", "4.4.0"),
        "validationStateId": entry(world, "workty_validation_states", "in progress"),
        "entryPointModuleFileName": "app.js",
        "compressedCode": None,
        "template": False,
        "propertiesIds": [],
        "price": 0,
        "discountPercent": 0,
        "created": "2026-01-02T03:04:05.000Z",
        "version": "",
    }
    assert world.admin.get(f"/workties/{workty['_id']}").get_json() == workty
    assert list(workty)[-2:] == ["created", "version"]


def test_every_field_of_a_workty_is_stored(world: Any) -> None:
    fields = {
        "desc": "what it does",
        "typeId": entry(world, "workty_types", "out"),
        "categoryId": entry(world, "workty_categories", "dropbox"),
        "languageTypeId": entry(world, "workty_language_types", "8"),
        "entryPointModuleFileName": "lib/main.jar",
        "template": True,
        "discountPercent": 30,
        "compressedCode": buffer(named("lib/main.jar")),
    }
    assert made(world, **fields).items() >= fields.items()


def test_read_only_fields_of_a_workty_are_ignored(world: Any) -> None:
    rejected = entry(world, "workty_validation_states", "rejected")
    sent = {"validationStateId": rejected, "propertiesIds": [UNKNOWN], "accountId": UNKNOWN, "_id": UNKNOWN}
    workty = made(world, **sent, created="x", package={"sha256": "x"})
    assert workty["propertiesIds"] == []
    assert rejected not in workty.values()
    assert UNKNOWN not in workty.values()
    answer = world.admin.put(f"/workties/{workty['_id']}", sent)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "")
    assert world.admin.get(f"/workties/{workty['_id']}").get_json() == workty


@pytest.mark.parametrize("name", ["desc", "typeId", "categoryId", "languageTypeId", "entryPointModuleFileName"])
def test_null_in_a_new_workty_is_the_default(world: Any, name: str) -> None:
    assert made(world, **{name: None})[name] == made(world)[name]


@pytest.mark.parametrize(
    ("price", "cents"),
    [(0, 0), (1, 100), (1.5, 150), (0.01, 1), (1.1, 110), (19.99, 1999), (1e3, 100_000), (None, 0)],
)
def test_the_price_of_a_new_workty_is_in_currency_units_and_of_a_changed_one_in_cents(
    world: Any, price: Any, cents: int
) -> None:
    workty = made(world, price=price)
    assert workty["price"] == cents
    changed = world.admin.put(f"/workties/{workty['_id']}", {"price": 7})
    assert changed.get_json()["price"] == 7


@pytest.mark.parametrize("discount", [0, 1, 12.5, 30, 30.0])
def test_a_discount_is_percent_everywhere(world: Any, discount: float) -> None:
    workty = made(world, discountPercent=discount, template=True)
    assert workty["discountPercent"] == discount
    path = f"/workties/{workty['_id']}"
    assert world.admin.put(path, {"discountPercent": 5}).get_json()["discountPercent"] == 5
    assert world.admin.put(path, {"discountPercent": discount}).get_json()["discountPercent"] == discount
    found = world.admin.get("/workties", discountPercent=str(discount), name="tool").get_json()
    assert [w["_id"] for w in found] == [workty["_id"]]


BAD = [
    ({"name": 5}, "Path `name` is not a text."),
    ({"name": LONG}, "Path `name` is longer than the maximum allowed length (256)."),
    ({"name": "\ud800"}, "Path `name` is not a text."),
    ({"desc": ["x"]}, "Path `desc` is not a text."),
    ({"desc": "x" * 4097}, "Path `desc` is longer than the maximum allowed length (4096)."),
    *(
        ({field: value}, f"Path `{field}` is the id of no entry of its dictionary.")
        for field in ("typeId", "categoryId", "languageTypeId")
        for value in (UNKNOWN, "x", 5, [UNKNOWN], {"$ne": None}, True)
    ),
    *(
        (
            {"entryPointModuleFileName": value},
            "Path `entryPointModuleFileName` is not a relative path inside the zip.",
        )
        for value in ("/app.js", "../app.js", "lib/../../app.js", "..", ".", "C:\\app.js", "lib\\app.js", "a\nb", "a\0")
    ),
    ({"entryPointModuleFileName": 5}, "Path `entryPointModuleFileName` is not a text."),
    ({"entryPointModuleFileName": LONG}, "Path `entryPointModuleFileName` is longer than the maximum allowed length"),
    *(({"template": value}, "Path `template` is not true or false.") for value in ("true", 1, 0, [], {})),
    *(({"price": value}, "Path `price` is not a number.") for value in ("12", True, [], {})),
    ({"price": -1}, "Path `price` (-1) is less than minimum allowed value (0)."),
    ({"price": -0.01}, "Path `price` (-0.01) is less than minimum allowed value (0)."),
    ({"price": 10**30}, "Path `price` (1000000000000000000000000000000) is more than maximum allowed value"),
    ({"price": 10**400}, "Path `price` (1000"),
    *(({"discountPercent": value}, "Path `discountPercent` is not a number.") for value in ("12", True, [], {})),
    ({"discountPercent": -1}, "Path `discountPercent` (-1) is less than minimum allowed value (0)."),
    ({"discountPercent": 31}, "Path `discountPercent` (31) is more than maximum allowed value (30)."),
    ({"discountPercent": 30.01}, "Path `discountPercent` (30.01) is more than maximum allowed value (30)."),
    ({"discountPercent": 1.001}, "Path `discountPercent` (1.001) has more than the allowed number of decimal places"),
    *(
        ({"compressedCode": value}, "Path `compressedCode` is not a zip archive.")
        for value in (
            *("", "no base64!", "bm8gemlw", "UEsDB", 5, True, {}, []),
            *([1, 2, 256], [-1], [1.5], ["P"], [None], {"type": "Buffer"}, {"type": "Buffer", "data": "UEsD"}),
            *({"type": "Buffer", "data": [300]}, {"type": "Bytes", "data": list(APP)}, {"data": list(APP)}),
            base64_text(APP[:-30]),
        )
    ),
    *(
        ({"compressedCode": base64_text(data)}, f"Path `compressedCode` is not usable: {reason}")
        for data, reason in (
            (named("../app.js"), "'../app.js' has an empty part"),
            (named("/app.js"), "'/app.js' is not a relative path"),
            (named("app.js", "0" * 5_000_000), "the package unpacks to more than 100 times its size"),
            (named("other.js"), "the package has no file 'app.js' to start"),
            (zipped(app__js="", APP__js=""), "'APP.js' and 'app.js' differ only by case"),
            (archives.overlapping(quoted=True), "'b.js' overlaps another entry"),
            *(
                (
                    archives.zipped((archives.entry("app.js", kind | 0o777), b"/etc/passwd")),
                    "'app.js' is a link or a special file",
                )
                for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO)
            ),
            (zipped(workty__toml="name = 5", app__js=""), "workty.toml"),
            (zipped(package__json="[]", app__js=""), "package.json"),
        )
    ),
]


@pytest.mark.parametrize(("body", "problem"), BAD)
def test_a_wrong_value_of_a_workty_is_refused_and_nothing_is_stored(
    world: Any, body: dict[str, Any], problem: str
) -> None:
    kept = made(world, compressedCode=base64_text(APP))
    path, before = f"/workties/{kept['_id']}", content(world)
    [told] = problems(world.admin.post("/workties", {"name": "bad"} | body))
    assert told.startswith(problem)
    # Together with a good change, which must not be made either.
    [told] = problems(world.admin.put(path, {"desc": "changed"} | body))
    assert told.startswith(problem)
    assert content(world) == before


def test_the_body_of_a_wrong_workty_is_told_without_its_code(world: Any) -> None:
    answer = world.admin.post("/workties", {"name": "bad", "price": -1, "compressedCode": base64_text(APP)})
    assert answer.get_json()["error"]["inputParameters"] == {"name": "bad", "price": -1}


def test_all_problems_are_told_at_once(world: Any) -> None:
    told = problems(world.admin.post("/workties", {"name": 5, "price": -1, "typeId": "x", "compressedCode": "x"}))
    assert [problem.split("`")[1] for problem in told] == ["name", "typeId", "price", "compressedCode"]


def test_prices_have_no_fractions_of_a_cent(world: Any) -> None:
    assert problems(world.admin.post("/workties", {"name": "x", "price": 1.005})) == [
        "Path `price` (1.005) has more than the allowed number of decimal places (2)."
    ]
    path = f"/workties/{made(world)['_id']}"
    assert problems(world.admin.put(path, {"price": 1.5})) == [
        "Path `price` (1.5) has more than the allowed number of decimal places (0)."
    ]
    assert world.admin.put(path, {"price": 2.0}).get_json()["price"] == 2


def test_a_language_is_named_by_one_of_its_versions(world: Any) -> None:
    nodejs = str(world.db["workty_language_types"].find_one({"name": "nodejs", "parentId": None})["_id"])
    [told] = problems(world.admin.post("/workties", {"name": "x", "languageTypeId": nodejs}))
    assert told == "Path `languageTypeId` is the id of a language (nodejs), not of one of its versions."


@pytest.mark.parametrize("body", [{}, {"name": None}, {"name": " "}, {"name": "", "price": -1}])
def test_a_workty_needs_a_name_before_all_else(world: Any, body: dict[str, Any]) -> None:
    assert problems(world.admin.post("/workties", body)) == ["Path `name` is required."]


# --- PUT


@pytest.mark.parametrize(
    ("body", "status"), [({}, 400), ({"other": 1}, 400), ({"_id": UNKNOWN, "validationStateId": UNKNOWN}, 400)]
)
def test_a_change_of_nothing_is_refused(world: Any, body: dict[str, Any], status: int) -> None:
    for id_ in (made(world)["_id"], UNKNOWN):
        answer = world.admin.put(f"/workties/{id_}", body)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, "")


@pytest.mark.parametrize(
    "name",
    [
        *("name", "typeId", "categoryId", "languageTypeId", "entryPointModuleFileName"),
        *("template", "price", "discountPercent"),
    ],
)
def test_what_a_workty_needs_cannot_be_emptied(world: Any, name: str) -> None:
    for id_ in (made(world)["_id"], UNKNOWN):
        for empty in (None, "", " \t"):
            assert problems(world.admin.put(f"/workties/{id_}", {name: empty})) == [f"Path `{name}` is required."]


def test_only_what_is_sent_is_changed(world: Any) -> None:
    workty = made(world, desc="d", price=1.5, compressedCode=list(APP), template=True)
    answer = world.admin.put(f"/workties/{workty['_id']}", {"name": "other", "desc": None})
    assert answer.status_code == 200
    assert answer.get_json() == workty | {"name": "other", "desc": ""}


def test_an_unknown_workty_is_not_found(world: Any) -> None:
    for id_ in (UNKNOWN, "x"):
        for answer in (world.admin.put(f"/workties/{id_}", {"price": -1}), world.admin.delete(f"/workties/{id_}")):
            assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, 2)


# --- who may do it


def test_only_admins_change_the_catalogue(world: Any, ann: Any) -> None:
    workty = made(world, template=True)
    path, before = f"/workties/{workty['_id']}", content(world)
    attempts = [("POST", "/workties"), ("PUT", path), ("DELETE", path), ("POST", f"{path}/properties")]
    attempts += [(method, f"{path}/properties/{UNKNOWN}") for method in ("PUT", "DELETE")]
    for method, url in attempts:
        answer = ann.send(method, url, json={"name": 5, "property": {}})
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, 13), (method, url)
    assert content(world) == before


# --- embed


def test_everything_a_workty_refers_to_can_be_embedded(world: Any, ann: Any) -> None:
    keys = "Account, properties,TYPE,category,languagetype,validationstate,unknown"
    [found] = ann.get("/workties", name="with-delay", embed=keys).get_json()
    assert found["accountId"] == {"_id": world.account_id(world.admin), "name": "supervisor"}
    assert [p["name"] for p in found["propertiesIds"]] == ["delay"]
    assert found["typeId"] == {"_id": found["typeId"]["_id"], "name": "inout"}
    assert found["validationStateId"]["name"] == "approved"
    assert (found["categoryId"]["name"], set(found["categoryId"])) == ("unit-tests", {"_id", "name", "parentId"})
    assert (found["languageTypeId"]["name"], set(found["languageTypeId"])) == ("3.14.1-6", {"_id", "name", "parentId"})
    assert ann.get(f"/workties/{found['_id']}", embed=keys).get_json() == found
    admins = world.admin.get(f"/workties/{found['_id']}", embed="account").get_json()
    assert admins["accountId"]["email"] == "supervisor@localhost"
    assert "password" not in json.dumps(admins)


# --- DELETE


def test_a_deleted_workty_leaves_nothing_in_any_workflow(world: Any, ann: Any, bob: Any) -> None:
    doomed, kept = made(world, template=True), world.template("with-delay")
    world.admin.post(f"/workties/{doomed['_id']}/properties", {"property": {"name": "p"}})
    before = {name: world.db[name].count_documents({}) for name in ("workty_instances", "workty_properties")}
    lists = []
    for client in (ann, bob):
        workflow = client.post("/workflows", {"name": "w"}).get_json()["_id"]
        path = f"/workflows/{workflow}/worktiesInstances"
        ids = [client.post(path, {"worktyId": id_}).get_json()["_id"] for id_ in (doomed["_id"], kept, doomed["_id"])]
        lists.append((client, f"/workflows/{workflow}", ids[1]))
    answer = world.admin.delete(f"/workties/{doomed['_id']}")
    assert (answer.status_code, answer.data) == (204, b"")
    for client, path, rest in lists:
        assert client.get(path).get_json()["worktiesInstancesIds"] == [rest]
        assert [i["_id"] for i in client.get(f"{path}/worktiesInstances").get_json()] == [rest]
    after = {name: world.db[name].count_documents({}) for name in before}
    assert after == {
        "workty_instances": before["workty_instances"] + 2,
        "workty_properties": before["workty_properties"] - 1 + 2,
    }
    assert world.runs.told[0] == ("stop_needing", ObjectId(doomed["_id"]))
    assert world.admin.delete(f"/workties/{doomed['_id']}").status_code == 404
    assert ann.get(f"/workties/{doomed['_id']}").status_code == 404


def test_a_workty_that_is_seen_no_more_stays_an_id_in_what_uses_it(world: Any, ann: Any) -> None:
    workty = made(world, template=True, compressedCode=list(APP))
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    path = f"/workflows/{workflow}/worktiesInstances"
    ann.post(path, {"worktyId": workty["_id"]})
    assert code_of(ann.get(path, embed="workty").get_json()[0]["worktyId"]) == APP
    world.admin.put(f"/workties/{workty['_id']}", {"price": 5})
    assert "compressedCode" not in ann.get(path, embed="workty").get_json()[0]["worktyId"]
    world.admin.put(f"/workties/{workty['_id']}", {"template": False})
    assert ann.get(path, embed="workty").get_json()[0]["worktyId"] == workty["_id"]
