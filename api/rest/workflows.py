"""Workflows and the commands that run them, over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.workflows.reading import WORKFLOW


class Workflows(Endpoint):
    """Workflows of the account; for admins all."""

    needs: ClassVar[Needs] = {"GET": ("workflows", "view"), "POST": ("workflows", "create")}

    def get(self, call: Call) -> Response:
        """List workflows."""
        view, selection = call.parameters.view(), call.parameters.selection(WORKFLOW)
        return call.listed(self.services.workflows.find(call.account, selection, view))

    def post(self, call: Call) -> Response:
        """Create a workflow without instances. Its runs fail `deadline` seconds after their begin."""
        record = self.services.workflows.create(call.account, call.body)
        return call.created(record, "workflows", record["_id"])


class OneWorkflow(Endpoint):
    """One workflow."""

    needs: ClassVar[Needs] = {
        "GET": ("workflows", "view"),
        "PUT": ("workflows", "update"),
        "DELETE": ("workflows", "delete"),
    }

    def get(self, call: Call) -> Response:
        """Get a workflow."""
        return call.one(self.services.workflows.get(call.account, call.path["id"], call.parameters.view()))

    def put(self, call: Call) -> Response:
        """Change name, desc or deadline, or the order of the instances by a permutation of `worktiesInstancesIds`.

        Another deadline counts from the next run; null is none.
        """
        return call.one(self.services.workflows.change(call.account, call.path["id"], call.body))

    def delete(self, call: Call) -> Response:
        """Stop the workflow's run and delete it with its instances."""
        self.services.workflows.delete(call.account, call.path["id"])
        return Response(status=204)


class Running(Endpoint):
    """Whether a workflow runs."""

    needs: ClassVar[Needs] = {"PUT": ("workflows", "update"), "DELETE": ("workflows", "update")}
    takes_body = False

    def put(self, call: Call) -> Response:
        """Run the workflow, or go on with its paused run."""
        return call.one(self.services.workflows.run(call.account, call.path["id"]))

    def delete(self, call: Call) -> Response:
        """Stop the run."""
        return call.one(self.services.workflows.stop(call.account, call.path["id"]))


class Pausing(Endpoint):
    """Whether a workflow pauses."""

    needs: ClassVar[Needs] = {"PUT": ("workflows", "update")}
    takes_body = False

    def put(self, call: Call) -> Response:
        """Pause the run at its next checkpoint."""
        return call.one(self.services.workflows.pause(call.account, call.path["id"]))
