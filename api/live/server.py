"""Puts the live API on a Socket.IO server: connections, events, and what has to be looked after meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from typing import Any

import flask_socketio
from flask import request
from flask_socketio import SocketIO
from pymongo.errors import PyMongoError

from api.live.connecting import ENTITIES, admit
from api.live.dispatch import Dispatcher
from api.live.errors import live_error
from api.live.follow import History
from api.live.outbox import Outbox
from api.live.sessions import Hub, Session, TooSlow, Transport, encoded
from api.live.watch import Watch
from api.rest.endpoint import peer
from api.services import Services
from api.settings import ApiSettings
from orchestrator.accounts.tokens import digest_of
from orchestrator.database import is_away
from orchestrator.errors import AccountRemoved, InvalidCredentials, OrchestratorError, brief

log = logging.getLogger("workty.api")

#: Seconds from opening a connection until a namespace must have been accepted over it.
OPENING_SECONDS = 5.0
#: Seconds between two looks at the tokens of open sockets. Those that ended are closed within 5 s.
TOKENS_SECONDS = 2.0
#: Seconds from then to the end of a socket: what was told of it, e.g. that the account was deleted, goes first.
FAREWELL_SECONDS = 1.0
#: Seconds that a client which was given up has to read why.
PARTING_SECONDS = 2.0


class LiveApi:
    """The live API of one process.

    Args:
        socketio: the Socket.IO server; all of its namespaces are this API's.
        hub: the sessions, which get what is emitted.
        history: where runs that are followed are read.
        settle: waits until changed entities have been told, see `api.live.news.News.settle`.
    """

    def __init__(
        self,
        socketio: SocketIO,
        services: Services,
        settings: ApiSettings,
        hub: Hub,
        *,
        history: History,
        settle: Callable[[float], bool],
    ) -> None:
        self._server: Any = socketio.server
        self._services = services
        self._settings = settings
        self._hub = hub
        self._history = history
        self._watch = Watch()
        self._transports: dict[str, Transport] = {}
        self._lock = Lock()
        self._looking = False
        self._dispatcher = Dispatcher(services, settings, settle, self._give_up)
        self._server.eio.create_queue = Outbox
        self._server.eio.on("connect", self._opened)
        self._server.eio.on("disconnect", self._closed)
        socketio.on("connect", namespace="*")(self._connect)
        socketio.on("disconnect", namespace="*")(self._disconnected)
        self._server.on("*", self._event, namespace="*")

    def recheck(self) -> None:
        """Have those who follow runs get what this process did not hear of."""
        for session in self._hub.sessions():
            session.follows.recheck()

    # --- connections

    def _opened(self, eio_sid: str, environ: dict[str, Any]) -> None:
        self._server._handle_eio_connect(eio_sid, environ)
        raw = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
        websocket = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        transport = Transport(eio_sid, self._server.eio.sockets[eio_sid].queue, raw if websocket else None)
        transport.outbox.on_full = lambda: self._part(transport, "it does not read: too much waits for it")
        self._transports[eio_sid] = transport
        self._watch.later(OPENING_SECONDS, lambda: self._close_if_unused(transport))

    def _closed(self, eio_sid: str, reason: str) -> None:
        self._transports.pop(eio_sid, None)
        self._server._handle_eio_disconnect(eio_sid, reason)

    def _connect(self, auth: object = None) -> None:
        namespace, sid = str(getattr(request, "namespace", "")), str(getattr(request, "sid", ""))
        try:
            context, token, account = admit(self._services, namespace, auth)
        except OrchestratorError as error:
            known = isinstance(error, InvalidCredentials | AccountRemoved)
            told = live_error(error if known else InvalidCredentials(), self._settings)
            raise flask_socketio.ConnectionRefusedError("unauthorized", {"err": told}) from error
        except PyMongoError as error:
            if not is_away(error):
                raise
            told = live_error(error, self._settings)
            raise flask_socketio.ConnectionRefusedError("unavailable", {"err": told}) from error
        eio_sid = self._server.manager.eio_sid_from_sid(sid, namespace)
        transport = self._transports.get(eio_sid)
        if transport is None:
            raise flask_socketio.ConnectionRefusedError("unauthorized")
        session = Session(
            sid,
            transport,
            namespace,
            context,
            token=digest_of(token),
            account=account,
            peer=peer(),
            history=self._history,
            beside=self._beside,
        )
        session.put(encoded("authenticated", True, namespace))
        session.put(encoded(f"sv.{ENTITIES[context]}.initialized", {}, namespace))
        self._hub.join(session)
        self._keep_looking()

    def _disconnected(self, _reason: object = None) -> None:
        sid = str(getattr(request, "sid", ""))
        session = self._hub.get(sid)
        self._hub.leave(sid)
        self._dispatcher.forget(sid)
        if session is not None and not session.transport.sessions:
            self._watch.later(OPENING_SECONDS, lambda: self._close_if_unused(session.transport))

    def _event(self, event: str, _namespace: str, sid: str, *data: Any) -> Any:
        session = self._hub.get(sid)
        if session is None:
            return None
        if event == "authentication":
            session.put(encoded("authenticated", True, session.namespace))
            return None
        return self._dispatcher.handle(session, event, data)

    # --- ends

    def _close_if_unused(self, transport: Transport) -> None:
        if not transport.sessions:
            self._end(transport)

    def _keep_looking(self) -> None:
        """Look at the tokens again and again, as long as anybody is connected."""
        with self._lock:
            if not self._looking and self._hub.sessions():
                self._looking = True
                self._watch.later(TOKENS_SECONDS, self._look)

    def _look(self) -> None:
        try:
            self._look_at_tokens()
        finally:
            with self._lock:
                self._looking = False
            self._keep_looking()

    def _look_at_tokens(self) -> None:
        """Take over what roles allow now; end the sessions whose token is not in force any more."""
        sessions = self._hub.sessions()
        try:
            accounts = self._services.tokens.in_force({session.token for session in sessions})
        except (PyMongoError, OrchestratorError) as error:
            log.warning("The tokens of live connections could not be looked at: %s", brief(error))
            return
        for session in sessions:
            if session.token in accounts:
                session.account = accounts[session.token]
            else:
                self._watch.later(FAREWELL_SECONDS, partial(self._dismiss, session))

    def _dismiss(self, session: Session) -> None:
        """End the session of a token that is not in force any more."""
        message = "The token is no longer in force. Get a new one with POST /api/v1/tokens"
        session.put(encoded("unauthorized", {"message": message}, session.namespace))
        self._server.disconnect(session.sid, namespace=session.namespace, ignore_queue=True)

    def _give_up(self, session: Session, why: str) -> None:
        self._part(session.transport, why)

    def _part(self, transport: Transport, why: str) -> None:
        """Tell a client why it is given up, if it still reads, and close the connection."""
        log.warning("A live client is disconnected: %s", why)
        sessions = [session for session in self._hub.sessions() if session.transport is transport]
        for session in sessions[:1]:
            transport.outbox.end_with(encoded("dropped", {"message": f"Disconnected: {why}"}, session.namespace))
        self._watch.later(0, partial(self._end, transport))
        self._watch.later(PARTING_SECONDS, transport.cut)

    def _end(self, transport: Transport) -> None:
        """Close a connection, in a thread of its own as that waits for what is still to be sent."""
        if transport.eio_sid in self._transports:
            Thread(target=self._server.eio.disconnect, args=(transport.eio_sid,), name="parting", daemon=True).start()

    def _beside(self, session: Session, catch_up: Callable[[], None]) -> None:
        """Carry out what a session has to catch up with in a thread of its own."""

        def run() -> None:
            try:
                catch_up()
            except TooSlow:
                self._give_up(session, "it does not read what it missed")
            except (PyMongoError, OrchestratorError) as error:
                self._give_up(session, f"what it missed cannot be read now ({brief(error)}). Connect again")

        Thread(target=run, name="catch-up", daemon=True).start()
