"""Takes the events of clients: finds the operation, checks, carries out, and tells the asker what went wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bson import ObjectId

from api.live.connecting import ENTITIES
from api.live.contexts import OPERATIONS
from api.live.errors import Flooded, UnknownOperation, live_error
from api.live.flood import Flood, Verdict
from api.live.operations import Done, Operation, Request, member, read_payload, read_request_id
from api.live.payloads import Payload
from api.live.sessions import Session, TooSlow
from api.services import Services
from api.settings import ApiSettings
from orchestrator.audit.service import Deed
from orchestrator.database import UNREACHABLE
from orchestrator.errors import OrchestratorError

log = logging.getLogger("workty.api")

#: How long (seconds) an acknowledgement waits for the messages that the request causes.
SETTLE_SECONDS = 10.0


class Dispatcher:
    """Carries out what clients ask for.

    Args:
        settle: waits until changes have been told, see `api.live.news.News.settle`.
        disconnect: ends a session, with a reason for the log.
    """

    def __init__(
        self,
        services: Services,
        settings: ApiSettings,
        settle: Callable[[float], bool],
        disconnect: Callable[[Session, str], None],
    ) -> None:
        self._services = services
        self._settings = settings
        self._settle = settle
        self._disconnect = disconnect
        self._floods: dict[str, Flood] = {}

    def forget(self, sid: str) -> None:
        """A session is closed."""
        self._floods.pop(sid, None)

    def handle(self, session: Session, event: str, data: tuple[Any, ...]) -> Payload | None:
        """Carry out an event; returns the acknowledgement, None if the client is disconnected."""
        verdict = self._floods.setdefault(session.sid, Flood()).asked(time.monotonic())
        if verdict is Verdict.DISCONNECT:
            self._disconnect(session, "it asks too often")
            return None
        try:
            return self._handle(session, event, data, refuse=verdict is Verdict.REFUSE)
        except TooSlow:
            self._disconnect(session, "it does not read its answers")
            return None

    def _handle(self, session: Session, event: str, data: tuple[Any, ...], *, refuse: bool) -> Payload:
        answered = f"sv.{ENTITIES[session.context]}.changed"
        payload: Mapping[str, Any] = {}
        named: Payload = {}
        try:
            if refuse:
                raise Flooded
            payload = read_payload(data)
            request_id = read_request_id(payload)
            named = {} if request_id is None else {"requestId": request_id}
            done = self._perform(session, event, payload, named)
        except TooSlow:
            raise
        except Exception as error:
            if not isinstance(error, (OrchestratorError, *UNREACHABLE)):
                log.error("The live operation %s failed", event[:64], exc_info=error)
            told = live_error(error, self._settings, payload)
            session.answer(answered, {"err": told, **named})
            return {"err": told, **named}
        return {"err": None, **named} | ({} if done.count is None else {"count": done.count})

    def _perform(self, session: Session, event: str, payload: Mapping[str, Any], named: Payload) -> Done:
        operation = OPERATIONS[session.context].get(event)
        if operation is None:
            raise UnknownOperation(event, ", ".join(OPERATIONS[session.context]))
        # A change of the roles, or the end of the token, counts from the next request on.
        account = self._services.tokens.accept_digest(session.token)
        actor = replace(account, request_id=named.get("requestId"))
        actor.require(session.context, operation.needs)
        operation.check(payload)

        def tell(event: str, about: Payload) -> None:
            session.answer(event, {"err": None, **about, **named})

        request = Request(self._services, actor, session, payload, tell)
        with self._services.tracing.span(event, account=account.id):
            done = operation.carry_out(request)
        if operation.needs != "view":
            self._services.audit.done(account, _deed(event, operation, payload, done), session.peer)
            self._settle(SETTLE_SECONDS)
        return done


def _deed(event: str, operation: Operation, payload: Mapping[str, Any], done: Done) -> Deed:
    """What a request did, as the audit trail names it: about what was added, or the innermost entity it names."""
    if done.added is not None:
        return Deed(event, event.split(".")[1], ObjectId(done.added), "done")
    path, kind = list(operation.ids.items())[-1]
    return Deed(event, kind, ObjectId(member(payload, path)), "done")
