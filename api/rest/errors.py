"""Errors as answers: the one place that knows which status, code and words an error of the core gets over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from api.rest.answers import answer
from api.rest.parameters import Parameters
from api.settings import ApiSettings
from orchestrator import errors
from orchestrator.database import is_away

log = logging.getLogger("workty.api")

UNEXPECTED = "Unexpected error, please check request parameters or contact with our support service"

_STATUS: Mapping[type[errors.OrchestratorError], int] = {
    errors.NotFound: 404,
    errors.ValidationFailed: 409,
    errors.NothingToUpdate: 400,
    errors.BadParameter: 400,
    errors.InvalidCredentials: 401,
    errors.AccountRemoved: 403,
    errors.Forbidden: 403,
    errors.NotOwnWorkty: 403,
    errors.NotEnoughFunds: 402,
    errors.TooManyRequests: 429,
    errors.TooManyInstances: 409,
    errors.WorkflowEmpty: 409,
    errors.StateForbids: 409,
    errors.AlreadyAsked: 409,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told of an error."""

    status: int
    message: str
    code: int | None = None
    problems: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def error_answer(error: Exception, settings: ApiSettings) -> Response:
    """The answer to a request that raised `error`. What nobody foresaw is logged and told without internals."""
    if isinstance(error, HTTPException) and error.code is not None and error.code < 400:
        return error.get_response()  # type: ignore[return-value]
    failure = failure_of(error)
    parameters = g.get("parameters") or Parameters(request.view_args or {}, dict(request.args.items()), {})
    body: dict[str, Any] = {
        "code": "" if failure.code is None else failure.code,
        "error_link": settings.error_link(failure.status if failure.code is None else failure.code),
        "message": failure.message,
        "inputParameters": parameters.told(),
    }
    if failure.problems:
        body["errors"] = [{"message": problem} for problem in failure.problems]
    return answer({"error": body}, failure.status, pretty=parameters.pretty, headers=failure.headers)


def failure_of(error: Exception) -> Failure:
    """What is told of `error`."""
    if is_away(error):
        error = errors.Unavailable("The database")
    if isinstance(error, RequestEntityTooLarge):
        error = errors.TooLarge()
    if isinstance(error, HTTPException):
        return _failure_of_http(error)
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)
    if not isinstance(error, errors.OrchestratorError) or status is None:
        log.error("A request failed", exc_info=error)
        return Failure(500, UNEXPECTED, 1)
    problems = error.problems if isinstance(error, errors.ValidationFailed) else ()
    return Failure(status, str(error), error.code, problems, _headers(error))


def _headers(error: errors.OrchestratorError) -> dict[str, str]:
    if isinstance(error, errors.InvalidCredentials):
        return {"WWW-Authenticate": 'Basic realm="workty", charset="UTF-8"'}
    if isinstance(error, errors.Unavailable | errors.TooManyRequests | errors.AlreadyAsked):
        return {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return {}


def _failure_of_http(error: HTTPException) -> Failure:
    allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
    return Failure(error.code or 500, error.description or error.name, headers=headers)
