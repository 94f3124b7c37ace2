"""Bearer tokens over REST."""

from __future__ import annotations

from typing import ClassVar

from flask import Response, request

from api.rest.endpoint import Call, Endpoint, Needs, peer
from orchestrator.errors import InvalidCredentials, NotFound


class Tokens(Endpoint):
    """Tokens of the account that asks."""

    needs: ClassVar[Needs] = {"POST": None}
    takes_body = False

    def post(self, call: Call) -> Response:
        """Get a token for the e-mail and password of HTTP basic."""
        given = request.authorization
        if given is None or given.type != "basic":
            raise InvalidCredentials
        issued = self.services.tokens.issue(given.username or "", given.password or "", peer())
        record = {
            "token": issued.token,
            "tokenType": "bearer",
            "expiresIn": issued.expires_in,
            "accountId": issued.account.id,
        }
        return call.created(record, "tokens", "current")


class CurrentToken(Endpoint):
    """The token that the request itself carries."""

    needs: ClassVar[Needs] = {"DELETE": None}

    def delete(self, call: Call) -> Response:
        """Revoke the token."""
        given = request.authorization
        if given is None or given.type != "bearer":
            raise NotFound("token")
        self.services.tokens.revoke(given.token or "")
        return Response(status=204)
