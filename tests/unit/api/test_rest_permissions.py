"""Every method of every path, asked by nobody, by the owner, by another regular account and by an admin."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from api.rest.api import ROUTES
from orchestrator.runs.decision import Decision
from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import Run, Step
from tests.unit.api.permissions import ROWS, Outcome, Row, rendered
from workties.messages import Program

#: Values of a path, and ids for the body, by name.
Ids = Mapping[str, str]


def _account(world: Any, owner: Any) -> Ids:
    return {"id": world.account_id(owner)}


def _payment(world: Any, owner: Any) -> Ids:
    return {"id": owner.post("/payments", {"worktyId": world.template("with-delay")}).get_json()["_id"]}


def _workty(world: Any, owner: Any) -> Ids:
    payment = owner.post("/payments", {"worktyId": world.template("with-delay")}).get_json()
    workty = owner.get(f"/workties/{payment['worktyId']}").get_json()
    return {"id": workty["_id"], "propertyId": workty["propertiesIds"][0]}


def _template(world: Any, _: Any) -> Ids:
    return {"id": world.template("with-delay")}


def _workflow(world: Any, owner: Any) -> Ids:
    workflow = owner.post("/workflows", {"name": "w"}).get_json()["_id"]
    template = world.template("with-delay")
    instance = owner.post(f"/workflows/{workflow}/worktiesInstances", {"worktyId": template}).get_json()
    property_id = instance["propertiesIds"][0]["_id"]
    return {"id": workflow, "worktyInstanceId": instance["_id"], "propertyId": property_id, "template": template}


def _device(world: Any, _: Any) -> Ids:
    return {"id": world.admin.post("/devices", {"name": str(ObjectId())}).get_json()["_id"]}


def _run(world: Any, owner: Any) -> Ids:
    program = Program("6e" * 12, "with-delay", "1", "python", "main.py")
    step = Step(instance=str(ObjectId()), name="first", desc="", program=program, package=None)
    workflow = {"workflow": str(ObjectId()), "workflow_name": "w", "workflow_desc": ""}
    run = Run(
        id=str(ObjectId()),
        account=world.account_id(owner),
        number=1,
        steps=(step,),
        created=world.clock(),
        **workflow,
    )
    RunStore(world.db).insert(Decision(run), "nobody", world.clock())
    return {"id": run.id}


def _nothing(world: Any, owner: Any) -> Ids:
    return {}


SUBJECTS: Mapping[str, Callable[[Any, Any], Ids]] = {
    "account": _account,
    "payment": _payment,
    "workty": _workty,
    "template": _template,
    "workflow": _workflow,
    "device": _device,
    "run": _run,
    "token": _nothing,
    "entry": _nothing,
}


def ask(world: Any, client: Any, row: Row, ids: Ids) -> Any:
    """The answer to the row's request."""
    path = re.sub(r"<(\w+)>", lambda found: ids[found[1]], row.path)
    if path == "/tokens/current" and client.authorization is not None:
        bearer = world.client()
        bearer.authorization = f"Bearer {client.post('/tokens').get_json()['token']}"
        client = bearer
    body = {
        name: ids[value.strip("<>")] if isinstance(value, str) and value.startswith("<") else value
        for name, value in row.body.items()
    }
    return client.send(row.method, path, **({} if row.method in {"GET", "DELETE"} else {"json": body}))


def outcome(row: Row, answer: Any, ids: Ids) -> Outcome:
    """What the answer means, in the words of the table."""
    if answer.status_code == 403:
        assert answer.get_json()["error"]["code"] == 13
        return Outcome.FORBIDDEN
    if answer.status_code == 404:
        assert answer.get_json()["error"]["code"] == 2
        return Outcome.HIDDEN
    assert answer.status_code in {200, 201, 204}, answer.get_json()
    if Outcome.LISTED not in {row.owner, row.other, row.admin}:
        return Outcome.YES
    seen = {record["_id"] for record in answer.get_json()}
    return Outcome.LISTED if ids["id"] in seen else Outcome.NOT_LISTED


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_everybody_gets_what_the_table_says(world: Any, row: Row) -> None:
    other = world.account("other")
    actors: Mapping[str, Callable[[Any], Any]] = {
        "owner": lambda owner: owner,
        "other": lambda owner: other,
        "admin": lambda owner: world.admin,
    }
    found = {}
    for name, actor in actors.items():
        owner = world.account(f"owner-for-{name}")
        ids = SUBJECTS[row.subject](world, owner)
        assert ask(world, world.client(), row, ids).status_code == 401
        found[name] = outcome(row, ask(world, actor(owner), row, ids), ids)
    assert found == {"owner": row.owner, "other": row.other, "admin": row.admin}


def test_every_method_of_every_path_has_a_row_and_the_other_way_round() -> None:
    served = {(method, path) for path, resource in ROUTES for method in resource.needs}
    assert {(row.method, row.path) for row in ROWS} == served


def test_every_method_says_what_it_needs() -> None:
    for path, resource in ROUTES:
        methods = {name for name in ("get", "post", "put", "delete", "patch") if hasattr(resource, name)}
        assert {method.lower() for method in resource.needs} == methods, path


def test_the_documentation_of_permissions_is_current() -> None:
    """If not: python -m tests.unit.api.permissions >docs/permissions.md"""
    assert Path("docs/permissions.md").read_text(encoding="utf-8") == "".join(rendered())
