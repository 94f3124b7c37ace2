"""Packages for boards: a signed link instead of a login."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_restx import Resource

from api.services import Services
from orchestrator.errors import Forbidden, NotFound


class Packages(Resource):  # type: ignore[misc]
    """One package."""

    def __init__(self, *args: Any, services: Services, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._services = services

    def get(self, sha256: str) -> Response:
        """Download a package with the link from an assignment."""
        expires, signature = request.args.get("expires", ""), request.args.get("signature", "")
        if not self._services.links.check(sha256, expires, signature, self._services.clock()):
            raise Forbidden
        data = self._services.packages.get(sha256)
        if data is None:
            raise NotFound("package")
        return Response(data, mimetype="application/zip")
