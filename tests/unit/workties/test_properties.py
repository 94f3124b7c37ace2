"""Values of properties: converted to the declared types, filled up with defaults, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from workties.errors import BadProperties
from workties.manifest import DeclaredProperty
from workties.properties import convert, fill

DELAY = DeclaredProperty("delay", "number", 1)
HOST = DeclaredProperty("host", "text", "nas")


def test_a_property_that_was_not_given_has_its_default() -> None:
    assert fill((DELAY, HOST), {"host": "pi"}) == {"delay": 1, "host": "pi"}


def test_what_was_not_declared_is_kept_as_it_is() -> None:
    assert fill((DELAY,), {"delay": 2, "more": [1]}) == {"delay": 2, "more": [1]}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "a", "a"),
        ("text", 22, "22"),
        ("number", 1.5, 1.5),
        ("number", "2", 2),
        ("number", " 2.5 ", 2.5),
        ("number", "9" * 400, 10**400 - 1),
        ("integer", 3.0, 3),
        ("integer", "3", 3),
        ("boolean", False, False),
        ("boolean", "True", True),
        ("any", {"a": None}, {"a": None}),
    ],
)
def test_a_value_that_spells_the_declared_type_is_one(kind: str, value: Any, expected: Any) -> None:
    found = convert(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", None),
        ("text", True),
        ("text", ["a"]),
        ("number", "soon"),
        ("number", True),
        ("number", "NaN"),
        ("integer", 1.5),
        ("integer", ""),
        ("boolean", 1),
        ("boolean", "yes"),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match="expected "):
        convert(value, kind)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(BadProperties) as caught:
        fill((DELAY, HOST), {"delay": "x" * 100, "host": []})
    assert caught.value.problems == (
        "Property 'delay': expected a number, got \"" + "x" * 56 + "...",
        "Property 'host': expected a text, got []",
    )
