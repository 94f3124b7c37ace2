"""The code of worktys over REST: how it comes in, what it is checked for, and how long it is kept."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from bson import ObjectId

from tests.unit.api.zips import APP, ENCODINGS, FOLDER, PACKAGE_JSON, PYTHON, base64_text, named, zipped


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


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("data", "entry"), [(APP, "app.js"), (PACKAGE_JSON, "lib/start.js"), (FOLDER, "tool/app.js")])
def test_code_comes_in_three_encodings_and_its_entry_point_is_found(
    world: Any, encoding: str, data: bytes, entry: str
) -> None:
    workty = made(world, compressedCode=ENCODINGS[encoding](data))
    assert code_of(workty) == data
    stored = world.db["workties"].find_one({"_id": ObjectId(workty["_id"])})
    assert (stored["package"]["sha256"], stored["package"]["entry"]) == (sha256(data).hexdigest(), entry)
    assert stored["package"]["language"] == "nodejs"
    assert "compressedCode" not in stored


def test_a_manifest_says_more_than_the_fields(world: Any) -> None:
    workty = made(world, compressedCode=base64_text(PYTHON), entryPointModuleFileName="ignored.js")
    package = world.db["workties"].find_one({"_id": ObjectId(workty["_id"])})["package"]
    assert (package["language"], package["entry"], package["version"]) == ("python", "main.py", "1.2")


def test_the_code_of_a_workty_that_comes_with_the_server_stays(world: Any) -> None:
    path = f"/workties/{entry(world, 'workties', 'with-delay')}"
    before = content(world)
    (problem,) = problems(world.admin.put(path, {"compressedCode": base64_text(APP)}))
    assert problem == "Path `compressedCode` cannot be changed: 'with-delay' comes with Workty. Use another name."
    assert content(world) == before
    assert world.admin.put(path, {"desc": "waits"}).status_code == 200


def test_base64_may_have_line_breaks(world: Any) -> None:
    text = base64_text(APP)
    assert code_of(made(world, compressedCode=f"{text[:40]}\r\n{text[40:]}\n")) == APP


def test_code_is_changed_and_taken_away(world: Any) -> None:
    path = f"/workties/{made(world, compressedCode=base64_text(APP))['_id']}"
    assert code_of(world.admin.put(path, {"compressedCode": base64_text(PACKAGE_JSON)}).get_json()) == PACKAGE_JSON
    assert world.admin.put(path, {"compressedCode": None}).get_json()["compressedCode"] is None
    assert world.admin.get(path).get_json()["compressedCode"] is None


def test_another_entry_point_has_to_be_in_the_code_that_is_there(world: Any) -> None:
    workty = made(world, compressedCode=base64_text(zipped(app__js="", other__js="")))
    path = f"/workties/{workty['_id']}"
    before = content(world)
    [told] = problems(world.admin.put(path, {"entryPointModuleFileName": "missing.js"}))
    assert told.startswith("Path `entryPointModuleFileName` is not usable: the package has no file 'missing.js'")
    assert content(world) == before
    assert world.admin.put(path, {"entryPointModuleFileName": "other.js"}).status_code == 200
    assert world.db["workties"].find_one({"_id": ObjectId(workty["_id"])})["package"]["entry"] == "other.js"
    python = entry(world, "workty_language_types", "3.14.1-6")
    assert world.admin.put(path, {"languageTypeId": python}).status_code == 200
    package = world.db["workties"].find_one({"_id": ObjectId(workty["_id"])})["package"]
    assert (package["language"], package["entry"]) == ("python", "other.js")


def test_an_entry_point_may_be_named_before_the_code_is_there(world: Any) -> None:
    path = f"/workties/{made(world)['_id']}"
    assert world.admin.put(path, {"entryPointModuleFileName": "other.js"}).status_code == 200
    [told] = problems(world.admin.put(path, {"compressedCode": base64_text(APP)}))
    assert "'other.js'" in told
    assert world.admin.put(path, {"compressedCode": base64_text(named("other.js"))}).status_code == 200


def test_a_package_that_is_used_no_more_is_removed_after_a_day(world: Any) -> None:
    digests = [sha256(data).hexdigest() for data in (APP, FOLDER)]
    first, second = made(world, compressedCode=list(APP)), made(world, compressedCode=list(APP))
    third = made(world, compressedCode=list(FOLDER))

    def present() -> list[bool]:
        return [world.services.packages.get(digest) is not None for digest in digests]

    def release(workty: Any) -> None:
        world.admin.delete(f"/workties/{workty['_id']}")

    release(first)
    release(third)
    world.clock.pass_time(days=1, seconds=1)
    release(made(world, compressedCode=list(PYTHON)))
    assert present() == [True, False]
    world.admin.put(f"/workties/{second['_id']}", {"compressedCode": list(FOLDER)})
    assert present() == [True, True]
    world.clock.pass_time(days=1, seconds=1)
    release(made(world, compressedCode=list(PYTHON)))
    assert present() == [False, True]


def test_a_package_that_a_run_still_needs_stays(world: Any) -> None:
    digest = sha256(APP).hexdigest()
    workty = made(world, compressedCode=list(APP))
    run = {"active": True, "workflowId": ObjectId(), "number": 1, "steps": [{"package": {"sha256": digest}}]}
    world.db["runs"].insert_one(run)
    world.admin.put(f"/workties/{workty['_id']}", {"compressedCode": None})
    world.clock.pass_time(days=2)
    world.services.packages.release([], world.clock())
    assert world.services.packages.get(digest) == APP


def test_a_package_that_comes_back_in_time_stays(world: Any) -> None:
    digest, now = sha256(APP).hexdigest(), world.clock()
    packages = world.services.packages
    packages.put(APP)
    packages.release([digest], now)
    packages.put(APP)
    packages.release([], now + timedelta(days=2))
    assert packages.get(digest) == APP
