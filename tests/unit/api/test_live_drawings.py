"""How clients draw workflows (live API contract, section 4, uisettings): kept, and told to the account's sockets."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.errors import TooLarge
from orchestrator.workflows.drawings import MOST_BYTES
from tests.unit.api.live_ears import Ears, ears

LOAD, SAVE = "sv.uiSettings.load.workflow", "sv.uiSettings.save.workflow"
NO = (500, "UnexpectedError")


@pytest.fixture
def heard(world: Any, live_url: str, ann: Any, bob: Any) -> Iterator[Ears]:
    with ears(world, live_url, "uisettings", ann, bob) as found:
        yield found


@pytest.fixture
def workflow(ann: Any) -> str:
    return str(ann.post("/workflows", {"name": "nightly"}).get_json()["_id"])


def test_a_drawing_is_kept_and_told_to_every_socket_of_the_account(workflow: str, heard: Ears) -> None:
    assert heard.answered(LOAD, {"workflowId": workflow}) == [{"uiSettings": {}}]
    for text in ('{"x": 1}', "no json, and none of ours: ä \u2028", " "):
        told = {"uiSettings": {"workflowId": workflow, "json": text}}
        assert heard.asked(SAVE, {"workflowId": workflow, "json": text, "unknown": 1}) == told
        assert heard.answered(LOAD, {"workflowId": workflow.upper()}) == [told]


def test_there_is_one_drawing_a_workflow_and_account(world: Any, ann: Any, workflow: str, heard: Ears) -> None:
    other = ann.post("/workflows", {"name": "weekly"}).get_json()["_id"]
    for key, text in ((workflow, "a"), (other, "b"), (workflow, "c")):
        heard.asked(SAVE, {"workflowId": key, "json": text})
    assert heard.answered(LOAD, {"workflowId": other}) == [{"uiSettings": {"workflowId": other, "json": "b"}}]
    assert world.db["ui_settings"].count_documents({}) == 2


def test_an_admins_drawing_of_somebodys_workflow_is_its_own(workflow: str, heard: Ears) -> None:
    heard.asked(SAVE, {"workflowId": workflow, "json": "mine"})
    assert heard.admin.ask("uisettings", SAVE, {"workflowId": workflow, "json": "theirs"})["err"] is None
    assert [told["uiSettings"]["json"] for told in heard.heard(heard.admin)] == ["theirs"]
    assert heard.heard(heard.one) == heard.heard(heard.other) == []
    assert heard.answered(LOAD, {"workflowId": workflow})[0]["uiSettings"]["json"] == "mine"


def test_a_foreign_workflow_has_no_drawing(world: Any, workflow: str, heard: Ears) -> None:
    for event, payload in ((LOAD, {}), (SAVE, {"json": "x"}), (SAVE, {})):
        about = {"workflowId": workflow, **payload}
        assert heard.refused(event, about, by=heard.stranger) == (*NO, 2)
    assert world.db["ui_settings"].count_documents({}) == 0


def test_without_a_text_nothing_is_kept(world: Any, workflow: str, heard: Ears) -> None:
    for empty in ({}, {"json": None}, {"json": ""}, {"json": 0}, {"json": {}}):
        assert heard.refused(SAVE, {"workflowId": workflow, **empty}) == (*NO, 16)
    for wrong in (5, True, {"a": 1}, ["a"], "\ud800"):
        assert heard.refused(SAVE, {"workflowId": workflow, "json": wrong}) == (400, "BadDigest", "")
    assert world.db["ui_settings"].count_documents({}) == 0


def test_a_drawing_has_at_most_a_mebibyte(world: Any, ann: Any, workflow: str) -> None:
    # No message is longer than that, so the limit is asked of the service itself.
    actor = world.services.tokens.accept(ann.post("/tokens").get_json()["token"])
    for text in ("x" * (MOST_BYTES + 1), "ä" * (MOST_BYTES // 2 + 1)):
        with pytest.raises(TooLarge):
            world.services.drawings.save(actor, workflow, text)
    assert world.db["ui_settings"].count_documents({}) == 0
    world.services.drawings.save(actor, workflow, "x" * MOST_BYTES)
    assert len(world.services.drawings.load(actor, workflow)["json"]) == MOST_BYTES


def test_of_many_savers_at_once_one_wins(world: Any, ann: Any, workflow: str) -> None:
    actor = world.services.tokens.accept(ann.post("/tokens").get_json()["token"])
    texts = [f"drawing {number}" for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: world.services.drawings.save(actor, workflow, text), texts))
    [kept] = world.db["ui_settings"].find().to_list()
    assert kept["json"] in texts


def test_a_deleted_workflow_has_no_drawing(world: Any, ann: Any, workflow: str, heard: Ears) -> None:
    assert heard.asked(SAVE, {"workflowId": workflow, "json": "x"})
    assert ann.delete(f"/workflows/{workflow}").status_code == 204
    assert heard.refused(SAVE, {"workflowId": workflow, "json": "x"}) == (*NO, 2)
    assert heard.refused(LOAD, {"workflowId": workflow}) == (*NO, 2)
    assert world.db["ui_settings"].count_documents({}) == 0


def test_drawings_go_with_their_account(world: Any, ann: Any, workflow: str, heard: Ears) -> None:
    heard.asked(SAVE, {"workflowId": workflow, "json": "x"})
    assert world.admin.send("DELETE", f"/accounts/{heard.one.account}?removing=true").status_code == 204
    assert world.db["ui_settings"].count_documents({}) == 0
