"""The reference says what there is: every operation, parameter, answer and error."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.rest.api import ROUTES
from api.rest.openapi import METHODS, reference
from api.rest.openapi_operations import OPERATIONS

EXISTING = {(path, method) for path, endpoint in ROUTES for method in METHODS if hasattr(endpoint, method.lower())}


def operations() -> list[tuple[str, str, Any]]:
    document = reference(ROUTES, "/api/v1")
    return [
        (path, method, item[method.lower()])
        for path, item in document["paths"].items()
        for method in METHODS
        if method.lower() in item
    ]


def test_no_operation_is_forgotten_and_none_is_invented() -> None:
    assert set(OPERATIONS) == EXISTING
    assert len(operations()) == len(EXISTING)


def test_every_operation_needs_a_permission_or_says_that_it_needs_none() -> None:
    for path, endpoint in ROUTES:
        methods = {method for method in METHODS if hasattr(endpoint, method.lower())}
        assert set(endpoint.needs) == methods, path


@pytest.mark.parametrize(("path", "method", "told"), operations())
def test_an_operation_is_told_completely(path: str, method: str, told: dict[str, Any]) -> None:
    assert told["summary"].endswith(".")
    names = [parameter["name"] for parameter in told["parameters"]]
    assert len(names) == len(set(names))
    assert all(parameter["description"] and "example" in parameter["schema"] for parameter in told["parameters"])
    assert {"400", "401", "403", "429", "500", "503"} <= set(told["responses"])
    assert all(answer["description"] for answer in told["responses"].values())
    for status, answer in told["responses"].items():
        assert status == "204" or "example" in answer["content"]["application/json"], (status, path)
    if "requestBody" in told:
        assert method in {"POST", "PUT"}
        assert told["requestBody"]["content"]["application/json"]["example"]


def test_names_of_operations_are_unique() -> None:
    names = [told["operationId"] for _, _, told in operations()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"\w+", name) for name in names)


def test_the_reference_is_served_without_login(world: Any) -> None:
    served = world.client().get("/swagger.json").get_json()
    assert served == reference(ROUTES, "/api/v1")
    assert served["servers"] == [{"url": "/api/v1"}]


def test_the_page_brings_all_that_it_needs_from_this_server(world: Any) -> None:
    page = world.client().get("/docs")
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    assert "/api/v1/swagger.json" in text
    assert set(re.findall(r"""(?:src|href)=["'](?:https?:)?//([^/"']+)""", text)) <= {"localhost"}
    for source in re.findall(r'<script src="([^"]+)"', text):
        with world.client().send("GET", "http://localhost" + source) as script:
            assert script.status_code == 200
