"""Errors as the live API tells them (live API contract, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.rest.errors import UNEXPECTED
from api.rest.parameters import without_secrets
from api.settings import ApiSettings
from orchestrator import errors
from orchestrator.database import is_away

_NO = (500, "UnexpectedError")

#: Status and name of errors that have one of their own; all others are "no" with a code.
_KINDS: Mapping[type[errors.OrchestratorError], tuple[int, str]] = {
    errors.BadParameter: (400, "BadDigest"),
    errors.NothingToUpdate: (400, "BadDigest"),
    errors.InvalidCredentials: (401, "InvalidCredentials"),
    errors.ValidationFailed: (409, "MissingParameter"),
}

#: What is said of something that does not exist, by code: to who wanted it, to change it, to delete it, to add to it.
NOT_FOUND: Mapping[int, str] = {
    2: "The entity was not found",
    3: "The entity was not updated",
    4: "The entity was not deleted",
    5: "The entity was not saved",
}


class Gone(errors.OrchestratorError):
    """What a request is about does not exist for the account; `code` says what was to be done with it."""

    def __init__(self, code: int) -> None:
        super().__init__(NOT_FOUND[code])
        self.code = code


class Flooded(errors.OrchestratorError):
    """A client asks too often."""

    code = 18

    def __init__(self) -> None:
        super().__init__("Too many requests. Send at most 50 a second; who goes on is disconnected")


class UnknownOperation(errors.OrchestratorError):
    """There is no such event in the context."""

    code = 19

    def __init__(self, event: str, known: str) -> None:
        super().__init__(f"There is no operation '{event[:64]}' here. There are: {known}")


def live_error(error: Exception, settings: ApiSettings, sent: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The `err` object of an error about a request with the payload `sent`.

    What nobody foresaw is told without internals.
    """
    if is_away(error):
        error = errors.Unavailable("The database")
    known = isinstance(error, errors.OrchestratorError)
    code = error.code if isinstance(error, errors.OrchestratorError) else 1
    status, name = next((_KINDS[kind] for kind in type(error).__mro__ if code is None and kind in _KINDS), _NO)
    if code is None and (status, name) == _NO:
        code = 1
    message = str(error) if known else UNEXPECTED
    body: dict[str, Any] = {
        "code": "" if code is None else code,
        "error_link": settings.error_link(status if code is None else code),
        "message": message,
    }
    if isinstance(error, errors.ValidationFailed):
        body["errors"] = [{"message": problem} for problem in error.problems]
    if sent is not None:
        body["inputParameters"] = without_secrets({name: sent[name] for name in sent if name != "requestId"})
    return {"statusCode": status, "restCode": name, "message": message, "body": {"error": body}}
