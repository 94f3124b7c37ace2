"""Who may open which namespace of the live API (live API contract, section 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import flask_socketio
from flask import request
from flask_socketio import SocketIO, emit

from api.live.errors import live_error
from api.services import Services
from api.settings import ApiSettings
from orchestrator.errors import AccountRemoved, InvalidCredentials, OrchestratorError

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


def add_connecting(socketio: SocketIO, services: Services, settings: ApiSettings) -> None:
    """Accept and refuse connections; answer `authentication`."""

    @socketio.on("connect", namespace="*")  # type: ignore[untyped-decorator]
    def connect(auth: object = None) -> None:
        try:
            context = _admit(services, _namespace(), auth)
        except OrchestratorError as error:
            known = isinstance(error, InvalidCredentials | AccountRemoved)
            told = live_error(error if known else InvalidCredentials(), settings)
            raise flask_socketio.ConnectionRefusedError("unauthorized", {"err": told}) from error
        emit("authenticated", True, ignore_queue=True)
        emit(f"sv.{ENTITIES[context]}.initialized", {}, ignore_queue=True)

    @socketio.on("authentication", namespace="*")  # type: ignore[untyped-decorator]
    def authentication(_: object = None) -> None:
        emit("authenticated", True, ignore_queue=True)


def _admit(services: Services, namespace: str, auth: object) -> str:
    """The context of the namespace, if the token's account owns it. Raises `InvalidCredentials`, `AccountRemoved`."""
    token = auth.get("token") if isinstance(auth, Mapping) else None
    found = _NAMESPACE.fullmatch(namespace)
    if not isinstance(token, str) or found is None or found[2] not in ENTITIES:
        raise InvalidCredentials
    if str(services.tokens.accept(token).id) != found[1]:
        raise InvalidCredentials
    return found[2]


def _namespace() -> str:
    return str(getattr(request, "namespace", ""))
