"""Boards over REST, as `devices` of v1."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.boards.service import DEVICE


class Devices(Endpoint):
    """The boards of the installation."""

    needs: ClassVar[Needs] = {"GET": ("devices", "view"), "POST": ("devices", "create")}

    def get(self, call: Call) -> Response:
        """List boards."""
        view, selection = call.parameters.view(), call.parameters.selection(DEVICE)
        return call.listed(self.services.boards.find(call.account, selection, view))

    def post(self, call: Call) -> Response:
        """Add a board and its queues."""
        record = self.services.boards.add(call.account, call.body)
        return call.created(record, "devices", record["_id"])


class OneDevice(Endpoint):
    """One board."""

    needs: ClassVar[Needs] = {
        "GET": ("devices", "view"),
        "PUT": ("devices", "update"),
        "DELETE": ("devices", "delete"),
    }

    def get(self, call: Call) -> Response:
        """Get a board."""
        return call.one(self.services.boards.get(call.account, call.path["id"], call.parameters.view()))

    def put(self, call: Call) -> Response:
        """Change a board."""
        return call.one(self.services.boards.change(call.account, call.path["id"], call.body))

    def delete(self, call: Call) -> Response:
        """Remove a board; what it runs goes on elsewhere."""
        self.services.boards.delete(call.account, call.path["id"])
        return Response(status=204)
