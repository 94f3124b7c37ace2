"""Who may open a namespace of the live API, told by real clients over a real port."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Queue
from typing import Any
from uuid import uuid4

import pytest
import socketio

from api.client.socket import OrderedSocket
from api.live.channel import Channel
from api.live.telling import Telling
from api.server import ThreadedServer, create_app, listen, serve_threaded

UNKNOWN = "5f" * 12


@pytest.fixture
def server(world: Any) -> Iterator[ThreadedServer]:
    server = serve_threaded(world.app, listen("127.0.0.1", 0))
    yield server
    server.stop()


class Listener:
    """A client of one namespace that keeps what it is sent, and its refusal."""

    def __init__(self, server: ThreadedServer, namespace: str, auth: object, transport: str = "websocket") -> None:
        self.received: Queue[tuple[str, Any]] = Queue()
        self.refusal: Any = None
        self.client = OrderedSocket(reconnection=False)
        for event in ("authenticated", "sv.workflow.initialized", "sv.uiSettings.initialized", "sv.workflow.changed"):
            self.client.on(event, self._keep(event), namespace=namespace)
        self.client.on("connect_error", self._refused, namespace=namespace)
        self.accepted = True
        try:
            self.client.connect(
                f"http://127.0.0.1:{server.port}", auth=auth, namespaces=[namespace], transports=[transport]
            )
        except socketio.exceptions.ConnectionError:
            self.accepted = False

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.eio.disconnect()

    def next(self) -> tuple[str, Any]:
        return self.received.get(timeout=5)

    def _keep(self, event: str) -> Any:
        return lambda payload=None: self.received.put((event, payload))

    def _refused(self, told: Any) -> None:
        self.refusal = told


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_the_owner_is_accepted_and_told_so(world: Any, server: ThreadedServer, ann: Any, transport: str) -> None:
    issued = ann.post("/tokens").get_json()
    namespace = f"/{issued['accountId']}_workflows"
    with Listener(server, namespace, {"token": issued["token"]}, transport) as listener:
        assert listener.accepted
        assert [listener.next(), listener.next()] == [("authenticated", True), ("sv.workflow.initialized", {})]
        listener.client.emit("authentication", {"token": "whatever"}, namespace=namespace)
        assert listener.next() == ("authenticated", True)
        world.channel.emit("sv.workflow.changed", {"err": None}, namespace)
        assert listener.next() == ("sv.workflow.changed", {"err": None})


def test_messages_are_handled_in_the_order_in_which_they_were_sent(
    world: Any, server: ThreadedServer, ann: Any
) -> None:
    issued = ann.post("/tokens").get_json()
    namespace = f"/{issued['accountId']}_workflows"
    with Listener(server, namespace, {"token": issued["token"]}) as listener:
        for number in range(500):
            world.channel.emit("sv.workflow.changed", {"seq": number}, namespace)
        heard = [listener.next()[1] for _ in range(502)]
    assert heard[2:] == [{"seq": number} for number in range(500)]


def test_another_process_reaches_clients_over_the_message_queue(world: Any, ann: Any) -> None:
    queue = f"memory://{uuid4().hex}"
    app, _ = create_app(world.services, telling=Telling(Channel(queue)))
    server = serve_threaded(app, listen("127.0.0.1", 0))
    issued = ann.post("/tokens").get_json()
    namespace = f"/{issued['accountId']}_workflows"
    try:
        with Listener(server, namespace, {"token": issued["token"]}) as listener:
            assert [listener.next()[0], listener.next()[0]] == ["authenticated", "sv.workflow.initialized"]
            assert _delivered(Channel(queue, serves=False), namespace, listener) == {"seq": 1}
    finally:
        server.stop()


def _delivered(channel: Channel, namespace: str, listener: Listener, deadline_seconds: float = 10) -> Any:
    """What arrives of a message, sent again until the server, which subscribes by and by, hears it."""
    end = time.monotonic() + deadline_seconds
    while time.monotonic() < end:
        channel.emit("sv.workflow.changed", {"seq": 1}, namespace)
        with suppress(Empty):
            return listener.received.get(timeout=0.1)[1]
    return None


def test_each_context_greets_by_the_name_of_its_entity(server: ThreadedServer, ann: Any) -> None:
    issued = ann.post("/tokens").get_json()
    with Listener(server, f"/{issued['accountId']}_uisettings", {"token": issued["token"]}) as listener:
        assert [listener.next(), listener.next()] == [("authenticated", True), ("sv.uiSettings.initialized", {})]


def test_all_refusals_say_the_same(world: Any, server: ThreadedServer, ann: Any, bob: Any) -> None:
    issued = ann.post("/tokens").get_json()
    own, token = issued["accountId"], {"token": issued["token"]}
    attempts = [
        (f"/{own}_workflows", None),
        (f"/{own}_workflows", {}),
        (f"/{own}_workflows", {"token": 5}),
        (f"/{own}_workflows", {"token": "bad"}),
        (f"/{own}_workflows", "bad"),
        (f"/{world.account_id(bob)}_workflows", token),
        (f"/{UNKNOWN}_workflows", token),
        (f"/{own}_Workflows", token),
        (f"/{own}_secrets", token),
        (f"/{own}", token),
        ("/workflows", token),
        ("/", token),
    ]
    refusals = []
    for namespace, auth in attempts:
        with Listener(server, namespace, auth) as listener:
            assert not listener.accepted, namespace
            assert listener.received.empty()
            refusals.append(listener.refusal)
    assert all(refusal == refusals[0] for refusal in refusals)
    assert refusals[0]["message"] == "unauthorized"
    err = refusals[0]["data"]["err"]
    assert (err["statusCode"], err["restCode"]) == (401, "InvalidCredentials")
    assert err["body"]["error"]["code"] == ""
    assert err["body"]["error"]["error_link"].endswith("/v1/401")


def test_an_administrator_opens_no_namespace_of_others(world: Any, server: ThreadedServer, ann: Any) -> None:
    token = world.admin.post("/tokens").get_json()["token"]
    with Listener(server, f"/{world.account_id(ann)}_workflows", {"token": token}) as listener:
        assert not listener.accepted


def test_a_revoked_or_expired_token_opens_nothing(world: Any, server: ThreadedServer, ann: Any) -> None:
    issued = ann.post("/tokens").get_json()
    namespace = f"/{issued['accountId']}_workflows"
    world.clock.pass_time(hours=24)
    with Listener(server, namespace, {"token": issued["token"]}) as listener:
        assert not listener.accepted


def test_a_removed_account_is_told_so(world: Any, server: ThreadedServer, ann: Any) -> None:
    issued = ann.post("/tokens").get_json()
    world.db["accounts"].update_one({"name": "ann"}, {"$set": {"removed": True}})
    with Listener(server, f"/{issued['accountId']}_workflows", {"token": issued["token"]}) as listener:
        assert not listener.accepted
        err = listener.refusal["data"]["err"]
        assert (err["statusCode"], err["body"]["error"]["code"]) == (500, 14)
