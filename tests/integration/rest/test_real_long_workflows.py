"""Workflows with as many and as long instances as there may be."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.catalogue.properties import MAX_PROPERTIES
from orchestrator.values import NAME_LIMIT, TEXT_LIMIT
from orchestrator.workflows.instances import MAX_INSTANCES

pytestmark = pytest.mark.real

#: Of all characters it takes the most bytes.
WIDE = "\N{SNAKE}"


def test_a_list_of_workflows_embeds_all_instances_that_the_largest_workflow_may_have(world: Any, ann: Any) -> None:
    workflow = ann.post("/workflows", {"name": "long"}).get_json()["_id"]
    path = f"/workflows/{workflow}/worktiesInstances"
    body = {"worktyId": str(world.template("with-delay")), "name": WIDE * NAME_LIMIT, "desc": WIDE * TEXT_LIMIT}
    first = ObjectId(ann.post(path, body).get_json()["_id"])
    like = world.db["workty_instances"].find_one({"_id": first})
    like["propertiesIds"] = [ObjectId() for _ in range(MAX_PROPERTIES)]
    others = [ObjectId() for _ in range(MAX_INSTANCES - 1)]
    world.db["workty_instances"].insert_many({**like, "_id": other} for other in others)
    world.db["workflows"].update_one(
        {"_id": ObjectId(workflow)}, {"$push": {"worktiesInstancesIds": {"$each": others}}}
    )
    (found,) = ann.get("/workflows", embed="worktiesInstances").get_json()
    assert [instance["_id"] for instance in found["worktiesInstancesIds"]] == [str(id_) for id_ in (first, *others)]
    refused = ann.post(path, body)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (409, 6)
    assert world.db["workty_instances"].count_documents({}) == MAX_INSTANCES
