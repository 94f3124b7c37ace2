"""Who is connected to this process, and who of them gets a message.

A transport is one connection; a session is one namespace that a client opened over it. Messages to a namespace are
encoded once and put into the outboxes of its sessions: nobody waits for a client here.
"""

from __future__ import annotations

import logging
import socket
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

from socketio.packet import EVENT, Packet

from api.live.follow import Beside, Follows, History
from api.live.outbox import LivePacket, Outbox
from api.live.payloads import tells_state
from orchestrator.accounts.account import Account
from orchestrator.accounts.peer import Peer

log = logging.getLogger("workty.api")

#: How long (seconds) a part of a long answer waits for a client to read the parts before it.
ANSWER_SECONDS = 10.0
#: Runs of which it is remembered what was told, and how many of their changes.
REMEMBERED_RUNS, REMEMBERED_CHANGES = 10_000, 64
#: The namespaces of a context of all accounts.
EVERYBODY = "/*_"

STEP_CHANGED, PROGRESSED, LOGGED = "sv.workflow.changed", "sv.workflow.progress", "sv.workflow.log"


#: What followers get as well, whoever the workflow belongs to.
FOLLOWED = frozenset({STEP_CHANGED, PROGRESSED, LOGGED})


class TooSlow(Exception):
    """A client does not read its answer."""


class Transport:
    """One connection to a client: Engine.IO's id of it, what waits to be sent over it, and its socket."""

    def __init__(self, eio_sid: str, outbox: Outbox, raw: socket.socket | None) -> None:
        self.eio_sid = eio_sid
        self.outbox = outbox
        self._raw = raw
        self.sessions = 0

    def cut(self) -> None:
        """End the connection at once, also for a thread that waits for the client to read."""
        if self._raw is not None:
            with suppress(OSError):
                self._raw.shutdown(socket.SHUT_RDWR)


class Session:
    """One namespace that a client opened.

    Attributes:
        sid: Socket.IO's id of it.
        token: digest of the token that it was opened with.
        account: the account, with what its roles allowed when the token was looked at last.
        peer: where the client is.
        follows: the runs whose output it gets, and what it has been told of them.
    """

    def __init__(
        self,
        sid: str,
        transport: Transport,
        namespace: str,
        context: str,
        *,
        token: str,
        account: Account,
        peer: Peer,
        history: History,
        beside: Beside,
    ) -> None:
        self.sid = sid
        self.transport = transport
        self.namespace = namespace
        self.context = context
        self.token = token
        self.account = account
        self.peer = peer
        self.closed = False
        self.follows = Follows(self, history, beside)

    @property
    def may_view(self) -> bool:
        """Whether its account's roles let it see changes of the context."""
        return (self.context, "view") in self.account.allows

    def hear(self, event: str, payload: Mapping[str, Any], packet: LivePacket) -> None:
        """Take a message to the namespace. Never waits."""
        if self.follows and event in FOLLOWED:
            self.follows.hear(event, payload, packet)
        elif event != LOGGED:
            self.put(packet)

    def put(self, packet: LivePacket) -> None:
        """Have a packet sent after those that wait. Never waits."""
        if not self.closed:
            self.transport.outbox.put(packet)

    def answer(self, event: str, payload: Mapping[str, Any]) -> None:
        """Send a message to this client alone; waits for a client that reads slowly.

        Raises `TooSlow` if it does not read for `ANSWER_SECONDS`.
        """
        if not self.transport.outbox.wait_for_room(ANSWER_SECONDS):
            raise TooSlow
        self.put(encoded(event, payload, self.namespace))


class Hub:
    """The sessions of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sessions: dict[str, Session] = {}
        self._by_namespace: dict[str, dict[str, Session]] = {}
        self._guests: dict[str, Session] = {}
        self._told: OrderedDict[str, deque[int]] = OrderedDict()

    def join(self, session: Session) -> None:
        """From now on the session gets what its namespace is told."""
        with self._lock:
            self._sessions[session.sid] = session
            self._by_namespace.setdefault(session.namespace, {})[session.sid] = session
            session.transport.sessions += 1
            if session.account.is_admin:  # who may follow what belongs to others
                self._guests[session.sid] = session

    def leave(self, sid: str) -> None:
        """The session is closed."""
        with self._lock:
            session = self._sessions.pop(sid, None)
            if session is None:
                return
            session.closed = True
            self._guests.pop(sid, None)
            session.transport.sessions -= 1
            inside = self._by_namespace[session.namespace]
            del inside[sid]
            if not inside:
                del self._by_namespace[session.namespace]

    def get(self, sid: str) -> Session | None:
        """The session of this id."""
        return self._sessions.get(sid)

    def sessions(self) -> list[Session]:
        """All of them."""
        with self._lock:
            return list(self._sessions.values())

    def deliver(self, event: str, payload: Mapping[str, Any], namespace: str) -> None:
        """Give a message to the sessions of a namespace, or with `EVERYBODY` + context to those of all accounts.

        A change of state that was given already is left out: whoever tells it again did not know.
        """
        if event == STEP_CHANGED and self._given(payload):
            return
        with self._lock:
            about = (payload.get("workflow") or {}).get("id") if event in FOLLOWED else None
            hearing = list(self._hearing(namespace, about))
        packets: dict[str, LivePacket] = {}
        for session in hearing:
            if session.may_view:
                if session.namespace not in packets:
                    packets[session.namespace] = encoded(event, payload, session.namespace)
                session.hear(event, payload, packets[session.namespace])

    def _hearing(self, namespace: str, workflow: str | None) -> Iterator[Session]:
        if namespace.startswith(EVERYBODY):
            context = namespace.removeprefix(EVERYBODY)
            yield from (session for session in self._sessions.values() if session.context == context)
            return
        yield from self._by_namespace.get(namespace, {}).values()
        for guest in self._guests.values():
            if guest.namespace != namespace and workflow in guest.follows and guest.account.is_admin:
                yield guest

    def _given(self, payload: Mapping[str, Any]) -> bool:
        """Whether this change of a run's state was delivered before; notes that it is now."""
        place = sequence_of(payload)
        if place is None:
            return False
        run, seq = place
        with self._lock:
            told = self._told.setdefault(run, deque(maxlen=REMEMBERED_CHANGES))
            self._told.move_to_end(run)
            if len(self._told) > REMEMBERED_RUNS:
                self._told.popitem(last=False)
            if seq in told:
                return True
            told.append(seq)
            return False


def sequence_of(payload: Mapping[str, Any]) -> tuple[str, int] | None:
    """Run and number of a change of state; None for other messages about a workflow."""
    about = payload.get("workflow") or {}
    if not about.get("run") or "worktiesInstances" in about:
        return None
    return about["run"]["id"], about["run"]["seq"]


def encoded(event: str, payload: Any, namespace: str) -> LivePacket:
    """A message as it goes over the wire. Of the progress of an instance only the newest has to be sent, of its states
    all.
    """
    key = None
    if event == PROGRESSED:
        key = (namespace, payload["run"]["id"], payload["worktyInstance"]["id"], payload["worktyInstance"]["attempt"])
    kept = key is not None and tells_state(payload)
    return LivePacket(Packet(EVENT, namespace=namespace, data=[event, payload]).encode(), key, kept=kept)
