"""REST v1 as part of a Flask application: paths, errors, compression, method override, and the generated reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, request
from flask_restx import Api

from api.rest import accounts, audit, devices, instances, packages, payments, runs, tokens, workflows, workties
from api.rest.answers import compress
from api.rest.endpoint import Endpoint
from api.rest.errors import error_answer
from api.rest.headers import add_headers
from api.rest.health import add_health
from api.rest.idempotency import Idempotency
from api.rest.limits import Limits, trust_proxies
from api.rest.metrics import add_metrics
from api.rest.openapi import reference
from api.rest.traces import add_traces
from api.services import Services
from api.settings import ApiSettings
from orchestrator.accounts.account import Account

PREFIX = "/api/v1"

#: Largest body of a request, bytes.
MAX_BODY = 16 * 1024 * 1024

_INSTANCES = "/workflows/<id>/worktiesInstances"

ROUTES: tuple[tuple[str, type[Endpoint]], ...] = (
    ("/tokens", tokens.Tokens),
    ("/tokens/current", tokens.CurrentToken),
    ("/accounts", accounts.Accounts),
    ("/accounts/<id>", accounts.OneAccount),
    ("/payments", payments.Payments),
    ("/payments/<id>", payments.OnePayment),
    ("/audit", audit.Audit),
    ("/workties", workties.Workties),
    ("/workties/<id>", workties.OneWorkty),
    ("/workties/<id>/versions", workties.Versions),
    ("/workties/<id>/properties", workties.Properties),
    ("/workties/<id>/properties/<propertyId>", workties.OneProperty),
    ("/workflows", workflows.Workflows),
    ("/workflows/<id>", workflows.OneWorkflow),
    ("/workflows/<id>/running", workflows.Running),
    ("/workflows/<id>/pausing", workflows.Pausing),
    (_INSTANCES, instances.Instances),
    (f"{_INSTANCES}/<worktyInstanceId>", instances.OneInstance),
    (f"{_INSTANCES}/<worktyInstanceId>/properties/<propertyId>", instances.InstanceProperty),
    ("/devices", devices.Devices),
    ("/devices/<id>", devices.OneDevice),
    ("/runs", runs.Runs),
    ("/runs/<id>", runs.OneRun),
    ("/runs/<id>/log", runs.RunLog),
    ("/runs/<id>/explanation", runs.RunExplanation),
)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Routes(Api):  # type: ignore[misc]
    """Flask-RESTX for routes and the pages of the reference; errors are answered as everywhere else."""

    def __init__(self, app: Flask, on_error: Callable[[Exception], Response]) -> None:
        self._on_error = on_error
        super().__init__(app, version="1", title="Workty", prefix=PREFIX, doc=f"{PREFIX}/docs")

    @property
    def __schema__(self) -> dict[str, Any]:
        """The reference, which Flask-RESTX serves as /swagger.json and shows on its page."""
        return reference(ROUTES, PREFIX)

    def handle_error(self, e: Exception) -> Response:
        """Answer an error of a resource."""
        return self._on_error(e)


def add_rest(app: Flask, services: Services, settings: ApiSettings) -> None:
    """Add REST v1, `/healthz`, `/readyz` and `/metrics` to an application."""

    limits, idempotency = Limits(app, settings), Idempotency(services.kept_answers)

    def on_error(error: Exception) -> Response:
        return error_answer(limits.explain(error), settings)

    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.register_error_handler(Exception, on_error)
    add_traces(app, services.tracing)
    app.after_request(lambda response: compress(request, response))
    app.wsgi_app = _overriding(app.wsgi_app)  # type: ignore[method-assign, assignment]
    trust_proxies(app, settings.trusted_proxies)
    add_headers(app, settings.cors_origins)
    add_metrics(app, services, settings, add_health(app, services))

    def around(account: Account, serve: Callable[[], Response]) -> Response:
        limits.check(account)
        return idempotency.once(account, serve)

    api = _Routes(app, on_error)
    given = {"services": services, "settings": settings, "around": around}
    for path, resource in ROUTES:
        api.namespace(path.split("/")[1], path="/").add_resource(resource, path, resource_class_kwargs=given)
    api.namespace("packages", path="/").add_resource(
        packages.Packages, "/packages/<sha256>", resource_class_kwargs={"services": services}
    )


def _overriding(inner: Wsgi) -> Wsgi:
    """A POST with the header X-HTTP-Method-Override PUT or DELETE is that method."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        wanted = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").strip().upper()
        if environ["REQUEST_METHOD"] == "POST" and wanted in {"PUT", "DELETE"}:
            environ["REQUEST_METHOD"] = wanted
        return inner(environ, start_response)

    return application
