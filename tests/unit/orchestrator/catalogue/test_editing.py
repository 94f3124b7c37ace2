"""What happens in the catalogue when two admins act at the same time, and who may act at all."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.accounts.account import Account
from orchestrator.errors import Forbidden, NotFound, ValidationFailed
from tests.unit.api.zips import named, zipped
from tests.unit.orchestrator.services import World


@pytest.fixture
def world() -> World:
    return World()


def made(world: World, **body: Any) -> str:
    return str(world.editor.create(world.ann, {"name": "tool"} | body)["_id"])


def stored(world: World, workty: str) -> Any:
    return world.db["workties"].find_one({"_id": ObjectId(workty)})


def test_an_entry_point_is_checked_against_the_code_of_that_moment(world: World) -> None:
    workty = made(world, compressedCode=list(zipped(app__js="", other__js="")))
    newer = {"compressedCode": list(named("app.js"))}
    world.before["workties", "find_one_and_update"] = lambda: world.editor.change(world.ann, workty, newer)
    with pytest.raises(ValidationFailed):
        world.editor.change(world.ann, workty, {"entryPointModuleFileName": "other.js"})
    assert stored(world, workty)["entryPointModuleFileName"] == stored(world, workty)["package"]["entry"] == "app.js"


def test_code_and_entry_point_that_two_change_at_once_go_together(world: World) -> None:
    workty = made(world, compressedCode=list(zipped(app__js="", other__js="")))
    entry = {"entryPointModuleFileName": "other.js"}
    world.before["workties", "find_one_and_update"] = lambda: world.editor.change(world.ann, workty, entry)
    newer = zipped(app__js="1", other__js="2")
    world.editor.change(world.ann, workty, {"compressedCode": list(newer)})
    assert (stored(world, workty)["package"]["entry"], stored(world, workty)["package"]["size"]) == (
        "other.js",
        len(newer),
    )


def test_a_workty_that_is_deleted_meanwhile_is_not_changed(world: World) -> None:
    workty = made(world)
    world.before["workties", "find_one_and_update"] = lambda: world.editor.delete(world.ann, workty)
    with pytest.raises(NotFound):
        world.editor.change(world.ann, workty, {"name": "x"})
    assert stored(world, workty) is None


def test_a_property_of_a_workty_that_is_deleted_meanwhile_is_not_left_behind(world: World) -> None:
    workty = made(world)
    before = world.db["workty_properties"].count_documents({})
    world.before["workties", "update_one"] = lambda: world.editor.delete(world.ann, workty)
    with pytest.raises(NotFound):
        world.properties.add(world.ann, workty, {"property": {"name": "p"}})
    assert world.db["workty_properties"].count_documents({}) == before


def test_two_who_delete_a_property_do_it_once(world: World) -> None:
    workty = made(world)
    key = str(world.properties.add(world.ann, workty, {"property": {"name": "p"}})["_id"])
    world.before["workties", "update_one"] = lambda: world.properties.remove(world.ann, workty, key)
    with pytest.raises(NotFound):
        world.properties.remove(world.ann, workty, key)


def test_who_is_no_admin_changes_only_its_own_worktys_whatever_its_roles_allow(world: World) -> None:
    for change in (
        lambda: world.editor.change(world.ann, world.workty, {"name": "x"}),
        lambda: world.editor.delete(world.ann, world.workty),
        lambda: world.properties.add(world.ann, world.workty, {"property": {"name": "p"}}),
    ):
        with pytest.raises(NotFound):
            change()


def test_services_ask_for_permission_themselves(world: World) -> None:
    nobody = Account(world.ann.id, "ann", "ann@mail", frozenset(), frozenset())
    for attempt in (
        lambda: world.editor.create(nobody, {"name": "x"}),
        lambda: world.editor.change(nobody, world.workty, {"name": "x"}),
        lambda: world.editor.delete(nobody, world.workty),
        lambda: world.properties.add(nobody, world.workty, {"property": {"name": "p"}}),
        lambda: world.properties.change(nobody, world.workty, "x", {"property": {"name": "p"}}),
        lambda: world.properties.remove(nobody, world.workty, "x"),
    ):
        with pytest.raises(Forbidden):
            attempt()
