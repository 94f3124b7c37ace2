"""The history of runs over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.runs.history import LOG_MESSAGE, RUN

#: Messages of a log without `per_page`: there may be very many.
PER_PAGE = 250


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
        """Get a run with its steps, what it waits for, and the last 20 lines that its steps wrote."""
        return call.one(self.services.history.get(call.account, call.path["id"], call.parameters.view()))


class RunLog(Endpoint):
    """What the steps of a run wrote."""

    needs: ClassVar[Needs] = {"GET": ("workflows", "view")}

    def get(self, call: Call) -> Response:
        """List what the steps of a run wrote, in order; without `per_page` 250 messages.

        A message holds lines of one attempt of a step. `seq` counts the messages of the run from 1 without gaps; the
        oldest ones go after a number of days. What goes beyond the bounds of a run is counted in `dropped` of the last
        message, which says so.
        """
        selection = call.parameters.selection(LOG_MESSAGE, default_limit=PER_PAGE, since="seq")
        return call.listed(self.services.history.log(call.account, call.path["id"], selection, call.parameters.view()))


class RunExplanation(Endpoint):
    """The story of a run."""

    needs: ClassVar[Needs] = {"GET": ("workflows", "view")}

    def get(self, call: Call) -> Response:
        """Explain a run: what happened to it, in sentences, what it does or waits for now, and what would help.

        Steps are named as in the workflow. `missing` counts changes of state at the beginning that are no longer kept.
        """
        return call.one(self.services.explanations.of(call.account, call.path["id"], call.parameters.view()))
