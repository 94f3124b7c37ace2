"""Accounts over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs


class Accounts(Endpoint):
    """All accounts."""

    needs: ClassVar[Needs] = {"POST": ("accounts", "create")}

    def post(self, call: Call) -> Response:
        """Create an account. Without a password it gets one, told this once as `initialPassword`."""
        record = self.services.accounts.create(call.account, call.body)
        return call.created(record, "accounts", record["_id"])


class OneAccount(Endpoint):
    """One account."""

    needs: ClassVar[Needs] = {"GET": ("accounts", "view")}

    def get(self, call: Call) -> Response:
        """Get an account."""
        return call.one(self.services.accounts.get(call.account, call.path["id"], call.parameters.view()))
