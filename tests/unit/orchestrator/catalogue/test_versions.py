"""Versions when several store them at once, when there are too many, and when they were not kept before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.catalogue.packages import PackageStore
from orchestrator.catalogue.versions import VersionStore, keep_versions
from orchestrator.errors import NotFound, ValidationFailed
from tests.unit.api.zips import zipped
from tests.unit.orchestrator.services import NOW, World

MANIFEST = 'name = "tool"\nversion = "{version}"\nlanguage = "python"\nentry = "main.py"\n'
PROPERTY = '[[properties]]\nname = "{name}"\ndefault = {default}\n'


@pytest.fixture
def world() -> World:
    return World()


def package(version: str, code: str = "", **properties: int) -> dict[str, Any]:
    declared = "".join(PROPERTY.format(name=name, default=default) for name, default in properties.items())
    data = zipped(workty__toml=MANIFEST.format(version=version) + declared, main__py=code or version)
    return {"compressedCode": list(data)}


def made(world: World, body: dict[str, Any]) -> str:
    return str(world.editor.create(world.ann, {"name": "tool"} | body)["_id"])


def stored(world: World, workty: str) -> Any:
    return world.db["workties"].find_one({"_id": ObjectId(workty)})


def kept(world: World, workty: str) -> dict[str, str]:
    found = world.db["workty_versions"].find({"worktyId": ObjectId(workty)})
    return {document["version"]: document["sha256"] for document in found}


def values(world: World, workty: str) -> dict[str, Any]:
    ids = stored(world, workty)["propertiesIds"]
    return {found["name"]: found["value"] for found in world.db["workty_properties"].find({"_id": {"$in": ids}})}


def test_of_many_who_store_a_version_with_different_code_one_does(world: World) -> None:
    workty = made(world, package("1.0"))

    def push(number: int) -> bool:
        try:
            world.editor.change(world.ann, workty, package("1.1", f"code {number}"))
        except ValidationFailed as error:
            assert "raise `version` in workty.toml" in error.problems[0]  # noqa: PT017 - both outcomes are right
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(push, range(8))) == 1
    assert kept(world, workty)["1.1"] == stored(world, workty)["package"]["sha256"]


def test_many_who_store_the_same_code_all_did(world: World) -> None:
    workty = made(world, package("1.0"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: world.editor.change(world.ann, workty, package("1.1", a=1)), range(8)))
    assert list(kept(world, workty)) == ["1.0", "1.1"]
    assert values(world, workty) == {"a": 1}


def test_properties_are_those_of_the_code_that_came_last(world: World) -> None:
    workty = made(world, package("1.0", a=1, b=1))
    properties = world.db["workty_properties"].count_documents({})
    newer = lambda: world.editor.change(world.ann, workty, package("1.1", b=2, c=1))  # noqa: E731
    world.before["workties", "find_one_and_update"] = newer
    world.editor.change(world.ann, workty, package("1.2", c=3, d=1))
    assert stored(world, workty)["package"]["version"] == "1.2"
    assert values(world, workty) == {"c": 3, "d": 1}
    assert world.db["workty_properties"].count_documents({}) == properties


def test_a_refused_package_is_given_up(world: World) -> None:
    workty = made(world, package("1.0"))
    with pytest.raises(ValidationFailed):
        world.editor.change(world.ann, workty, package("1.0", "other"))
    PackageStore(world.db).release([], NOW + timedelta(days=2))
    assert world.db["packages"].find_one({"_id": {"$in": list(kept(world, workty).values())}}) is not None
    used = {found["sha256"] for found in world.db["workty_versions"].find()}
    assert {found["_id"] for found in world.db["packages"].find()} == used


def test_a_property_that_is_added_while_a_package_takes_over_is_not_lost(world: World) -> None:
    workty = made(world, package("1.0"))
    mine = {"property": {"name": "mine", "value": 5}}
    world.before["workties", "find_one_and_update"] = lambda: world.properties.add(world.ann, workty, mine)
    world.editor.change(world.ann, workty, package("1.1", a=1))
    assert values(world, workty) == {"a": 1, "mine": 5}


@pytest.mark.parametrize("write", [("workty_versions", "insert_one"), ("workties", "find_one_and_update")])
def test_a_version_of_a_workty_that_is_deleted_meanwhile_is_not_left_behind(
    world: World, write: tuple[str, str]
) -> None:
    workty = made(world, package("1.0"))
    world.before[write] = lambda: world.editor.delete(world.ann, workty)
    with pytest.raises(NotFound):
        world.editor.change(world.ann, workty, package("1.1", a=1))
    assert kept(world, workty) == {}
    assert world.db["workty_properties"].find_one({"name": "a"}) is None


def test_the_oldest_versions_that_nobody_uses_make_room(world: World) -> None:
    workty = made(world, package("1"))
    world.instances.add(world.ann, world.workflow, {"worktyId": workty})
    for number in (2, 3):
        world.editor.change(world.ann, workty, package(str(number)))
    store, current = VersionStore(world.db, PackageStore(world.db), limit=3), stored(world, workty)
    newer = current["package"] | {"version": "4"}
    with pytest.raises(ValidationFailed) as refused:
        store.add(current, newer, NOW + timedelta(hours=1))
    assert "has 3 versions, all of them new or in use" in refused.value.problems[0]
    store.add(current, newer, NOW + timedelta(days=2))
    assert list(kept(world, workty)) == ["1", "3", "4"]


def test_an_instance_that_two_upgrade_at_once_has_the_properties_of_its_version(world: World) -> None:
    workty = made(world, package("1.0", a=1))
    instance = world.instances.add(world.ann, world.workflow, {"worktyId": workty})
    for version, name in (("1.1", "b"), ("1.2", "c")):
        world.editor.change(world.ann, workty, package(version, **{name: 1}))
    change = lambda version: world.instances.change(  # noqa: E731
        world.ann, world.workflow, str(instance["_id"]), {"version": version}
    )
    world.before["workty_instances", "update_one"] = lambda: change("1.1")
    after = change("1.2")
    found = world.db["workty_properties"].find({"_id": {"$in": after["propertiesIds"]}})
    assert (after["version"], [entry["name"] for entry in found]) == ("1.2", ["c"])
    assert world.db["workty_properties"].find_one({"name": "b"}) is None


def test_code_that_was_stored_before_versions_were_kept_is_one(world: World) -> None:
    workty = made(world, package("1.0"))
    before = kept(world, workty)
    world.db["workty_versions"].delete_many({"worktyId": ObjectId(workty)})
    for _ in range(2):
        keep_versions(world.db)
    assert kept(world, workty) == before
