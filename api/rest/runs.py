"""The history of runs over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.runs.history import RUN


class Runs(Endpoint):
    """Runs of the account's workflows; for admins all."""

    needs: ClassVar[Needs] = {"GET": ("workflows", "view")}

    def get(self, call: Call) -> Response:
        """List runs, newest first."""
        view, selection = call.parameters.view(), call.parameters.selection(RUN)
        return call.listed(self.services.history.find(call.account, selection, view))


class OneRun(Endpoint):
    """One run."""

    needs: ClassVar[Needs] = {"GET": ("workflows", "view")}

    def get(self, call: Call) -> Response:
        """Get a run with its steps and what it waits for."""
        return call.one(self.services.history.get(call.account, call.path["id"], call.parameters.view()))


class RunLog(Endpoint):
    """What the steps of a run wrote."""

    needs: ClassVar[Needs] = {"GET": ("workflows", "view")}

    def get(self, call: Call) -> Response:
        """Get the last lines of each step that failed."""
        return call.listed(self.services.history.log(call.account, call.path["id"]))
