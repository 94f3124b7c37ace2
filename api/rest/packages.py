"""Packages for boards: a signed link instead of a login."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_restx import Resource
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from api.services import Services
from orchestrator.errors import Forbidden, NotFound


class Packages(Resource):  # type: ignore[misc]
    """One package."""

    def __init__(self, *args: Any, services: Services, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._services = services

    def get(self, sha256: str) -> Response:
        """Download a package with the link from an assignment, or with `Range` a part of it."""
        expires, signature = request.args.get("expires", ""), request.args.get("signature", "")
        if not self._services.links.check(sha256, expires, signature, self._services.clock()):
            raise Forbidden
        data = self._services.packages.get(sha256)
        if data is None:
            raise NotFound("package")
        response = Response(data, mimetype="application/zip")
        response.set_etag(sha256)
        try:
            response.make_conditional(request, accept_ranges=True, complete_length=len(data))
        except RequestedRangeNotSatisfiable:
            return Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        return response
