"""The audit trail over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import ONLY_ADMINS, Call, Endpoint, Needs
from orchestrator.audit.service import ENTRY


class Audit(Endpoint):
    """Who changed what, and which logins were refused."""

    needs: ClassVar[Needs] = {"GET": ONLY_ADMINS}

    def get(self, call: Call) -> Response:
        """List entries, oldest first; `sort=-created` for the newest."""
        view, selection = call.parameters.view(), call.parameters.selection(ENTRY)
        return call.listed(self.services.audit.select(call.account, selection, view))
