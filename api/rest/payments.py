"""Payments over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response

from api.rest.endpoint import Call, Endpoint, Needs
from orchestrator.payments.service import PAYMENT


class Payments(Endpoint):
    """Payments of the account; for admins all."""

    needs: ClassVar[Needs] = {"GET": ("payments", "view"), "POST": ("payments", "create")}

    def get(self, call: Call) -> Response:
        """List payments."""
        view, selection = call.parameters.view(), call.parameters.selection(PAYMENT)
        return call.listed(self.services.payments.find(call.account, selection, view))

    def post(self, call: Call) -> Response:
        """Pay for a template and get a copy of it."""
        record = self.services.payments.buy(call.account, call.body)
        return call.created(record, "payments", record["_id"])


class OnePayment(Endpoint):
    """One payment."""

    needs: ClassVar[Needs] = {
        "GET": ("payments", "view"),
        "PUT": ("payments", "update"),
        "DELETE": ("payments", "delete"),
    }

    def get(self, call: Call) -> Response:
        """Get a payment."""
        return call.one(self.services.payments.get(call.account, call.path["id"], call.parameters.view()))

    def put(self, call: Call) -> Response:
        """Change its message."""
        return call.one(self.services.payments.update(call.account, call.path["id"], call.body))

    def delete(self, call: Call) -> Response:
        """Delete it. Nothing is given back."""
        self.services.payments.delete(call.account, call.path["id"])
        return Response(status=204)
