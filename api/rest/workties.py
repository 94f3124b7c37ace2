"""The catalogue of worktys over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.catalogue.service import WORKTY
from orchestrator.catalogue.versions import VERSION


class Workties(Endpoint):
    """Own worktys and templates."""

    needs: ClassVar[Needs] = {"GET": ("workties", "view"), "POST": ("workties", "create")}

    def get(self, call: Call) -> Response:
        """List worktys."""
        view, selection = call.parameters.view(), call.parameters.selection(WORKTY)
        return call.listed(self.services.catalogue.find(call.account, selection, view))

    def post(self, call: Call) -> Response:
        """Add a workty. Here, and only here, `price` is in currency units."""
        record = self.services.editor.create(call.account, call.body)
        return call.created(record, "workties", record["_id"])


class OneWorkty(Endpoint):
    """One workty."""

    needs: ClassVar[Needs] = {
        "GET": ("workties", "view"),
        "PUT": ("workties", "update"),
        "DELETE": ("workties", "delete"),
    }

    def get(self, call: Call) -> Response:
        """Get a workty."""
        return call.one(self.services.catalogue.get(call.account, call.path["id"], call.parameters.view()))

    def put(self, call: Call) -> Response:
        """Change a workty. `price` is in whole cents.

        A package with a manifest is kept as a version, and the workty's properties become what it declares. 409 if that
        version is there with other code.
        """
        return call.one(self.services.editor.change(call.account, call.path["id"], call.body))

    def delete(self, call: Call) -> Response:
        """Delete a workty with its properties and all of its instances; runs that still need one are stopped."""
        self.services.editor.delete(call.account, call.path["id"])
        return Response(status=204)


class Versions(Endpoint):
    """Versions of a workty."""

    needs: ClassVar[Needs] = {"GET": ("workties", "view")}

    def get(self, call: Call) -> Response:
        """List versions, newest first."""
        view, selection = call.parameters.view(), call.parameters.selection(VERSION)
        return call.listed(self.services.catalogue.versions(call.account, call.path["id"], selection, view))


class Properties(Endpoint):
    """Properties of a workty."""

    needs: ClassVar[Needs] = {"POST": ("workties", "update")}

    def post(self, call: Call) -> Response:
        """Add a property. Instances that exist do not get it."""
        workty_id = call.path["id"]
        record = self.services.workty_properties.add(call.account, workty_id, call.body)
        return call.created(record, "workties", workty_id, "properties", record["_id"])


class OneProperty(Endpoint):
    """One property of a workty."""

    needs: ClassVar[Needs] = {"PUT": ("workties", "update"), "DELETE": ("workties", "update")}

    def put(self, call: Call) -> Response:
        """Change its name or value."""
        path = call.path
        record = self.services.workty_properties.change(call.account, path["id"], path["propertyId"], call.body)
        return call.one(record)

    def delete(self, call: Call) -> Response:
        """Remove it."""
        self.services.workty_properties.remove(call.account, call.path["id"], call.path["propertyId"])
        return Response(status=204)
