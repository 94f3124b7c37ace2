"""Requests generated from the reference, sensible ones and wrong ones: no answer may be one that it does not name."""

from __future__ import annotations

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.rest.openapi_operations import OPERATIONS
from tests.unit.api.runs import Written

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: Requests an operation and mode; the whole module has to be done within a minute.
EXAMPLES = 5

BOUNDED = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def furnish(world: Any) -> dict[str, dict[str, str]]:
    """One of everything; ids by the first word of a path, then by their names in paths."""
    admin = world.admin
    account = admin.post("/accounts", {"name": "ann", "email": "ann@mail", "password": "ann"}).get_json()["_id"]
    workflow = admin.post("/workflows", {"name": "w"}).get_json()["_id"]
    body = {"worktyId": world.template("with-delay")}
    instance = admin.post(f"/workflows/{workflow}/worktiesInstances", body).get_json()
    workty = admin.get(f"/workties/{world.template('with-delay')}").get_json()
    inside = {"worktyInstanceId": instance["_id"], "propertyId": instance["propertiesIds"][0]["_id"]}
    written = Written(world, admin)
    written.add(written.copy, "a line")
    return {
        "accounts": {"id": account},
        "workflows": {"id": workflow, **inside},
        "workties": {"id": workty["_id"], "propertyId": workty["propertiesIds"][0]},
        "payments": {"id": admin.post("/payments", body).get_json()["_id"]},
        "runs": {"id": written.run},
        "devices": {"id": admin.post("/devices", {"name": "kitchen"}).get_json()["_id"]},
    }


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize(("path", "method"), sorted(OPERATIONS))
def test_no_answer_is_one_that_the_reference_does_not_name(
    world: Any, path: str, method: str, mode: GenerationMode
) -> None:
    known = furnish(world).get(path.split("/")[1], {})
    schema = schemathesis.openapi.from_wsgi("/api/v1/swagger.json", world.app)
    operation = schema[re.sub(r"<(\w+)>", r"{\1}", path)][method]
    login = {"Authorization": world.admin.authorization, "Accept-Encoding": "identity"}
    if (path, method) == ("/tokens/current", "DELETE"):
        login["Authorization"] = "Bearer " + world.admin.post("/tokens").get_json()["token"]

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def holds(case: Any, real: bool) -> None:
        if real and case.path_parameters:
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
        case.validate_response(case.call(headers=login), checks=CHECKS)

    holds()
