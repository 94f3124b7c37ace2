"""Who may open which namespace of the live API (live API contract, section 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from api.services import Services
from orchestrator.accounts.account import Account
from orchestrator.errors import InvalidCredentials

#: By context of a namespace: the entity that its events are named after.
ENTITIES: Mapping[str, str] = {
    "accounts": "account",
    "workflows": "workflow",
    "workties": "workty",
    "devices": "device",
    "payments": "payment",
    "uisettings": "uiSettings",
}

_NAMESPACE = re.compile(r"/([0-9a-f]{24})_([a-z]+)")


def admit(services: Services, namespace: str, auth: object) -> tuple[str, str, Account]:
    """Context of the namespace, token and account, if the token's account owns the namespace.

    Raises `InvalidCredentials`, `AccountRemoved`.
    """
    token = auth.get("token") if isinstance(auth, Mapping) else None
    found = _NAMESPACE.fullmatch(namespace)
    if not isinstance(token, str) or found is None or found[2] not in ENTITIES:
        raise InvalidCredentials
    account = services.tokens.accept(token)
    if str(account.id) != found[1]:
        raise InvalidCredentials
    return found[2], token, account
