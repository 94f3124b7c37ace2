"""Accounts over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.accounts.service import ACCOUNT


class Accounts(Endpoint):
    """All accounts."""

    needs: ClassVar[Needs] = {"GET": ("accounts", "view"), "POST": ("accounts", "create")}

    def get(self, call: Call) -> Response:
        """List accounts: for an admin all, for another one itself."""
        view, selection = call.parameters.view(), call.parameters.selection(ACCOUNT)
        return call.listed(self.services.accounts.select(call.account, selection, view))

    def post(self, call: Call) -> Response:
        """Create an account. Without a password it gets one, told this once as `initialPassword`."""
        record = self.services.accounts.create(call.account, call.body)
        return call.created(record, "accounts", record["_id"])


class OneAccount(Endpoint):
    """One account."""

    needs: ClassVar[Needs] = {
        "GET": ("accounts", "view"),
        "PUT": ("accounts", "update"),
        "DELETE": ("accounts", "delete"),
    }

    def get(self, call: Call) -> Response:
        """Get an account."""
        return call.one(self.services.accounts.get(call.account, call.path["id"], call.parameters.view()))

    def put(self, call: Call) -> Response:
        """Change an account. A new password ends the old one and all tokens; `removed: false` recovers."""
        return call.one(self.services.accounts.update(call.account, call.path["id"], call.body))

    def delete(self, call: Call) -> Response:
        """Mark an account removed; with `removing` true erase it with what is its own."""
        erase = str(call.body.get("removing")).lower() == "true"
        self.services.removal.delete(call.account, call.path["id"], erase=erase)
        return Response(status=204)
