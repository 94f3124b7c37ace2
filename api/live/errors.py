"""Errors as the live API tells them (live API contract, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.rest.errors import UNEXPECTED
from api.settings import ApiSettings
from orchestrator import errors

_NO = (500, "UnexpectedError")

#: Status and name of errors that have one of their own; all others are "no" with a code.
_KINDS: Mapping[type[errors.OrchestratorError], tuple[int, str]] = {
    errors.BadParameter: (400, "BadDigest"),
    errors.NothingToUpdate: (400, "BadDigest"),
    errors.InvalidCredentials: (401, "InvalidCredentials"),
    errors.ValidationFailed: (409, "MissingParameter"),
}


def live_error(error: Exception, settings: ApiSettings) -> dict[str, Any]:
    """The `err` object of an error. What nobody foresaw is told without internals."""
    known = isinstance(error, errors.OrchestratorError)
    code = error.code if isinstance(error, errors.OrchestratorError) else 1
    status, name = next((_KINDS[kind] for kind in type(error).__mro__ if code is None and kind in _KINDS), _NO)
    message = str(error) if known else UNEXPECTED
    body: dict[str, Any] = {
        "code": "" if code is None else code,
        "error_link": settings.error_link(status if code is None else code),
        "message": message,
    }
    if isinstance(error, errors.ValidationFailed):
        body["errors"] = [{"message": problem} for problem in error.problems]
    return {"statusCode": status, "restCode": name, "message": message, "body": {"error": body}}
