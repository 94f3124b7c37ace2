"""The audit trail over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import ONLY_ADMINS, Call, Endpoint, Needs
from orchestrator.audit.service import ENTRY

#: Length of a list without `per_page`: the trail has no end.
PER_PAGE = 250


class Audit(Endpoint):
    """Who changed what, and which logins were refused."""

    needs: ClassVar[Needs] = {"GET": ONLY_ADMINS}

    def get(self, call: Call) -> Response:
        """List entries, newest first; without `per_page` 250 of them."""
        view, selection = call.parameters.view(), call.parameters.selection(ENTRY, default_limit=PER_PAGE)
        return call.listed(self.services.audit.select(call.account, selection, view))
