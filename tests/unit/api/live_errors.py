"""Errors of the live API as tests look at them."""

from __future__ import annotations

from typing import Any

UNKNOWN = "5f" * 12
"""An id that nothing has."""

BAD = (400, "BadDigest", "")
"""A required field is missing, nothing is to be updated, or a type is wrong."""

INVALID = (409, "MissingParameter", "")
"""Validation failed."""


def no(code: int) -> tuple[int, str, Any]:
    """An error that is told with a number."""
    return (500, "UnexpectedError", code)


def kind_of(told: Any) -> tuple[int, str, Any]:
    """Status, name and code of the error in a message or an acknowledgement, whose parts must agree."""
    err = told["err"]
    assert err["message"] == err["body"]["error"]["message"]
    return (err["statusCode"], err["restCode"], err["body"]["error"]["code"])


def problems_of(told: Any) -> list[str]:
    """The sentences of a validation that failed."""
    return [entry["message"] for entry in told["err"]["body"]["error"]["errors"]]
