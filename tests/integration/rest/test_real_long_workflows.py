"""Workflows with more instances than MongoDB puts into one document."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.values import TEXT_LIMIT
from tests.integration.rest.test_real_workflows import ann, server, world  # noqa: F401

pytestmark = pytest.mark.real

#: So many with the longest description are more than the 16 MiB of a document.
MANY = 4200


def test_a_list_embeds_more_instances_than_fit_into_one_document(world: Any, ann: Any) -> None:  # noqa: F811
    workflow = ann.post("/workflows", {"name": "long"}).get_json()["_id"]
    path = f"/workflows/{workflow}/worktiesInstances"
    first = ann.post(path, {"worktyId": str(world.template("with-delay"))}).get_json()["_id"]
    like = world.db["workty_instances"].find_one({"_id": ObjectId(first)}) | {"desc": "d" * TEXT_LIMIT}
    others = [ObjectId() for _ in range(MANY)]
    world.db["workty_instances"].insert_many({**like, "_id": other} for other in others)
    own = {"_id": ObjectId(workflow)}
    world.db["workflows"].update_one(own, {"$push": {"worktiesInstancesIds": {"$each": others}}})
    (found,) = ann.get("/workflows", embed="worktiesInstances").get_json()
    assert [instance["_id"] for instance in found["worktiesInstancesIds"]] == [first, *map(str, others)]
