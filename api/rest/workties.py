"""The catalogue of worktys over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.catalogue.service import WORKTY


class Workties(Endpoint):
    """Own worktys and templates."""

    needs: ClassVar[Needs] = {"GET": ("workties", "view")}

    def get(self, call: Call) -> Response:
        """List worktys."""
        view, selection = call.parameters.view(), call.parameters.selection(WORKTY)
        return call.listed(self.services.catalogue.find(call.account, selection, view))


class OneWorkty(Endpoint):
    """One workty."""

    needs: ClassVar[Needs] = {"GET": ("workties", "view")}

    def get(self, call: Call) -> Response:
        """Get a workty."""
        return call.one(self.services.catalogue.get(call.account, call.path["id"], call.parameters.view()))
