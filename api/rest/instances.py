"""Workty instances of a workflow and their properties, over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.selection import View
from orchestrator.workflows.reading import INSTANCE

#: Length of a list without `per_page`.
PER_PAGE = 10


class Instances(Endpoint):
    """Instances of a workflow, in its order."""

    needs: ClassVar[Needs] = {"GET": ("workflows", "view"), "POST": ("workflows", "update")}

    def get(self, call: Call) -> Response:
        """List instances."""
        view, selection = call.parameters.view(), call.parameters.selection(INSTANCE, default_limit=PER_PAGE)
        return call.listed(self.services.instances.find(call.account, call.path["id"], selection, view))

    def post(self, call: Call) -> Response:
        """Add an instance of a workty at the place that `position_*` names, by default at the end.

        It keeps the version that the workty has now, or the one that `version` names. `policy` says what happens when
        it fails.
        """
        workflow_id = call.path["id"]
        record = self.services.instances.add(call.account, workflow_id, call.body, _written(call))
        return call.created(record, "workflows", workflow_id, "worktiesInstances", record["_id"])


class OneInstance(Endpoint):
    """One instance."""

    needs: ClassVar[Needs] = {
        "GET": ("workflows", "view"),
        "PUT": ("workflows", "update"),
        "DELETE": ("workflows", "update"),
    }

    def get(self, call: Call) -> Response:
        """Get an instance."""
        path = call.path
        record = self.services.instances.get(call.account, path["id"], path["worktyInstanceId"], call.parameters.view())
        return call.one(record)

    def put(self, call: Call) -> Response:
        """Change name, desc, version or policy of an instance, or move it to the place that `position_*` names.

        With another version its properties become what that declares; those that stay keep their values. `policy`
        replaces the whole one that was there. A run that is under way keeps what it began with.
        """
        path = call.path
        record = self.services.instances.change(
            call.account, path["id"], path["worktyInstanceId"], call.body, _written(call)
        )
        return call.one(record)

    def delete(self, call: Call) -> Response:
        """Remove an instance, unless a run has still to end it."""
        self.services.instances.remove(call.account, call.path["id"], call.path["worktyInstanceId"])
        return Response(status=204)


class InstanceProperty(Endpoint):
    """One property of an instance."""

    needs: ClassVar[Needs] = {"PUT": ("workflows", "update")}

    def put(self, call: Call) -> Response:
        """Change its name or value."""
        path = call.path
        record = self.services.instances.change_property(
            call.account, path["id"], path["worktyInstanceId"], path["propertyId"], call.body
        )
        return call.one(record)


def _written(call: Call) -> View:
    """What the answer to a change shows: the properties in any case."""
    view = call.parameters.view(fields=False)
    return replace(view, embed=view.embed | {"properties"})
