"""Workflows, instances and worktys over REST on a real MongoDB: true concurrency, and indexes for every search."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from tests.unit.api.conftest import Client, World
from tests.unit.api.zips import MANIFEST, base64_text, zipped

pytestmark = pytest.mark.real


def again(world: World, client: Client) -> Client:
    """The same account on a connection of its own."""
    return Client(world.app.test_client(), client.authorization)


def test_instances_added_moved_and_deleted_at_once_leave_a_true_list(world: World, ann: Client) -> None:
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    path = f"/workflows/{workflow}/worktiesInstances"
    workty = world.template("with-delay")
    old = [ann.post(path, {"worktyId": workty}).get_json()["_id"] for _ in range(8)]

    def act(number: int) -> int:
        client = again(world, ann)
        if number % 3 == 0:
            return int(client.post(path, {"worktyId": workty, "position_type": "first"}).status_code)
        url = f"{path}/{old[number % 8]}"
        return int((client.put(url, {"position_index": 0}) if number % 3 == 1 else client.delete(url)).status_code)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(act, range(24))) <= {200, 201, 204, 404}
    listed = ann.get(f"/workflows/{workflow}").get_json()["worktiesInstancesIds"]
    stored = {str(found["_id"]) for found in world.db["workty_instances"].find()}
    assert len(listed) == len(set(listed))
    assert set(listed) == stored
    kept = {id_ for found in world.db["workty_instances"].find() for id_ in found["propertiesIds"]}
    templates = {id_ for found in world.db["workties"].find() for id_ in found["propertiesIds"]}
    assert {found["_id"] for found in world.db["workty_properties"].find()} == kept | templates


def test_a_workty_deleted_while_it_is_being_used_is_gone_everywhere(world: World, ann: Client, bob: Client) -> None:
    workty = world.admin.post("/workties", {"name": "tool", "template": True}).get_json()["_id"]
    world.admin.post(f"/workties/{workty}/properties", {"property": {"name": "p"}})
    before = {found["_id"] for found in world.db["workty_properties"].find()}
    paths = []
    for client in (ann, bob):
        workflow = client.post("/workflows", {"name": "w"}).get_json()["_id"]
        paths.append((client, f"/workflows/{workflow}"))

    def use(number: int) -> int:
        if number == 6:
            return int(again(world, world.admin).delete(f"/workties/{workty}").status_code)
        client, path = paths[number % 2]
        return int(again(world, client).post(f"{path}/worktiesInstances", {"worktyId": workty}).status_code)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(use, range(16))) <= {201, 204, 404}
    assert [client.get(path).get_json()["worktiesInstancesIds"] for client, path in paths] == [[], []]
    assert world.db["workty_instances"].count_documents({}) == 0
    assert {found["_id"] for found in world.db["workty_properties"].find()} < before


def test_of_many_who_push_a_version_at_once_one_does(world: World) -> None:
    workty = world.admin.post("/workties", {"name": "tool"}).get_json()["_id"]

    def push(number: int) -> int:
        code = zipped(workty__toml=MANIFEST, main__py=str(number % 4))
        path, body = f"/workties/{workty}", {"compressedCode": base64_text(code)}
        return int(again(world, world.admin).put(path, body).status_code)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(push, range(12)))
    [kept] = world.db["workty_versions"].find({"worktyId": ObjectId(workty)})
    current = world.admin.get(f"/workties/{workty}").get_json()
    assert (kept["version"], current["version"]) == ("1.2", "1.2")
    assert (answers.count(200), answers.count(409)) == (3, 9)


@pytest.mark.parametrize(
    ("collection", "query", "index"),
    [
        ("packages", {"released": {"$lt": 5}}, "released"),
        ("workties", {"package.sha256": "x"}, "package"),
        ("workty_versions", {"sha256": "x"}, "package"),
        ("workty_versions", {"worktyId": "x", "version": "1"}, "of_workty"),
        ("workty_instances", {"worktyId": "x"}, "of_workty"),
        ("workty_instances", {"workflowId": "x"}, "of_workflow"),
        ("ui_settings", {"workflowId": "x"}, "of_workflow"),
        ("runs", {"state": {"$in": ["running"]}, "steps": {"$elemMatch": {"program.id": "x"}}}, "by_state"),
    ],
)
def test_what_removal_looks_for_is_found_by_an_index(
    world: World, collection: str, query: dict[str, Any], index: str
) -> None:
    plan = world.db[collection].find(query).explain()["queryPlanner"]["winningPlan"]
    assert f"'indexName': '{index}'" in str(plan)
