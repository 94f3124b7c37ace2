"""The rules for all operations of the live API (live API contract, sections 2 and 3), by the example of accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from queue import Empty, Queue
from typing import Any

import engineio
import pytest

from tests.servers.waiting import until
from tests.unit.api.live_client import PATIENCE, LiveClient
from tests.unit.api.live_errors import BAD, INVALID, UNKNOWN, kind_of, no

CHANGED = "sv.account.changed"
REFRESH, UPDATE = "sv.account.refresh", "sv.account.upd"
MIB = 1024 * 1024


@pytest.fixture
def own(world: Any, live_url: str, ann: Any) -> Iterator[LiveClient]:
    """Ann, connected to accounts and boards after she was added."""
    world.settle()
    with LiveClient(live_url, ann.post("/tokens").get_json(), "accounts", "devices") as client:
        yield client


# --- the form of a request


@pytest.mark.parametrize("request_id", ["", "x", "x" * 128, "ä€", 0, 1, -1.5, 2**60])
def test_a_request_id_comes_back_unchanged(own: LiveClient, request_id: Any) -> None:
    payload = {"account": {"id": own.account, "name": "x"}, "requestId": request_id}
    assert own.ask("accounts", UPDATE, payload) == {"err": None, "requestId": request_id}
    assert own.next("accounts", CHANGED)["requestId"] == request_id
    failed = own.ask("accounts", UPDATE, {"requestId": request_id})
    assert (kind_of(failed), failed["requestId"]) == (BAD, request_id)
    assert own.next("accounts", CHANGED) == failed
    assert own.ask("accounts", REFRESH, payload) == {"err": None, "requestId": request_id, "count": 1}
    assert own.next("accounts", CHANGED)["requestId"] == request_id


@pytest.mark.parametrize("request_id", ["x" * 129, True, False, [], {}, ["x"], float("nan"), float("inf")])
def test_another_request_id_is_refused_and_not_repeated(own: LiveClient, ann: Any, request_id: Any) -> None:
    told = own.ask("accounts", UPDATE, {"account": {"id": own.account, "name": "x"}, "requestId": request_id})
    assert kind_of(told) == BAD
    assert set(told) == {"err"}
    assert "requestId" not in told["err"]["body"]["error"]["inputParameters"]
    assert own.next("accounts", CHANGED) == told
    assert ann.get(f"/accounts/{own.account}").get_json()["name"] == "ann"


def test_without_a_request_id_there_is_none(own: LiveClient) -> None:
    for payload in ({"account": {"id": own.account}}, {"account": {"id": own.account}, "requestId": None}):
        assert own.ask("accounts", REFRESH, payload) == {"err": None, "count": 1}
        assert set(own.next("accounts", CHANGED)) == {"err", "account"}


def test_nothing_and_null_are_an_empty_payload(own: LiveClient) -> None:
    assert own.ask("accounts", "sv.account.refresh.all") == {"err": None, "count": 1}
    assert own.ask("accounts", "sv.account.refresh.all", (None,)) == {"err": None, "count": 1}
    assert kind_of(own.ask("accounts", REFRESH, (None,))) == BAD


@pytest.mark.parametrize("payload", ["text", 5, True, [], [{"account": {"id": UNKNOWN}}], b"bytes"])
def test_a_payload_that_is_no_object_is_refused(own: LiveClient, payload: Any) -> None:
    told = own.ask("accounts", REFRESH, payload)
    assert kind_of(told) == BAD
    assert told["err"]["message"] == "The payload must be one JSON object"
    assert own.next("accounts", CHANGED) == told


@pytest.mark.parametrize("account", [None, "", 0, False, {}, []])
def test_an_empty_field_is_a_missing_one(own: LiveClient, account: Any) -> None:
    assert kind_of(own.ask("accounts", REFRESH, {"account": account})) == BAD
    told = own.ask("accounts", REFRESH, {"account": {"id": account}})
    assert kind_of(told) == BAD
    assert told["err"]["message"] == "account.id: is required and must not be empty"


def test_a_request_that_wants_no_acknowledgement_is_served_as_well(own: LiveClient) -> None:
    namespace = f"/{own.account}_accounts"
    own.socket.emit(REFRESH, {"account": {"id": own.account}, "requestId": 1}, namespace=namespace)
    assert own.next("accounts", CHANGED)["account"]["name"] == "ann"
    own.socket.emit(REFRESH, {"requestId": 2}, namespace=namespace)
    assert kind_of(own.next("accounts", CHANGED)) == BAD


@pytest.mark.parametrize(
    "event", ["sv.account.run", "sv.device.refresh.all", "refresh", "sv.account.changed", "x" * 200, "__init__"]
)
def test_an_unknown_event_is_told(own: LiveClient, event: str) -> None:
    told = own.ask("accounts", event, {"requestId": 1})
    assert kind_of(told) == no(19)
    assert len(told["err"]["message"]) < 300
    assert own.next("accounts", CHANGED) == told


# --- the order of checks


@pytest.mark.parametrize(
    ("event", "payload", "expected"),
    [
        ("sv.account.add", {}, no(13)),
        ("sv.account.add", {"account": {"email": 5}}, no(13)),
        (UPDATE, {"account": {"id": "", "name": 5}}, BAD),
        (UPDATE, {"account": {"id": UNKNOWN, "name": 5}}, no(3)),
        (UPDATE, {"account": {"id": "malformed", "name": 5}}, no(3)),
        (UPDATE, {"account": {"id": "own", "name": 5}}, INVALID),
    ],
)
def test_permission_comes_first_then_fields_existence_and_values(
    own: LiveClient, event: str, payload: Any, expected: Any
) -> None:
    if payload.get("account", {}).get("id") == "own":
        payload = {"account": payload["account"] | {"id": own.account}}
    assert kind_of(own.ask("accounts", event, payload)) == expected


def test_an_error_repeats_what_was_sent_but_no_secret(own: LiveClient) -> None:
    secrets = {"password": "sesame", "token": "sesame", "accountId": "sesame", "compressedCode": "sesame"}
    account = {"id": UNKNOWN, "name": "x", "more": [secrets], **secrets}
    told = own.ask("accounts", UPDATE, {"account": account, "requestId": 1, **secrets})
    assert told["err"] == {
        "statusCode": 500,
        "restCode": "UnexpectedError",
        "message": "The entity was not updated",
        "body": {
            "error": {
                "code": 3,
                "error_link": told["err"]["body"]["error"]["error_link"],
                "message": "The entity was not updated",
                "inputParameters": {"account": {"id": UNKNOWN, "name": "x", "more": [{}]}},
            }
        },
    }
    assert own.next("accounts", CHANGED) == told
    assert "sesame" not in str(told)


# --- roles


def test_without_view_a_client_connects_and_hears_nothing(world: Any, live_url: str, own: LiveClient, ann: Any) -> None:
    world.db["acl_roles"].insert_one({"name": "mute", "allows": [{"resources": "accounts", "permissions": ["update"]}]})
    world.admin.put(f"/accounts/{own.account}", {"aclRoleNames": ["mute"]})
    world.settle()
    with LiveClient(live_url, ann.post("/tokens").get_json(), "accounts") as mute:
        assert kind_of(mute.ask("accounts", "sv.account.refresh.all")) == no(13)
        payload = {"account": {"id": own.account, "name": "changed"}, "requestId": 1}
        assert mute.ask("accounts", UPDATE, payload) == {"err": None, "requestId": 1}
        world.settle()
        assert [kind_of(told) for told in mute.taken("accounts", CHANGED)] == [no(13)]


def test_a_change_of_roles_counts_from_the_next_request_on(world: Any, own: LiveClient) -> None:
    for roles, expected in ((["admin"], None), (["regular"], no(13))):
        world.admin.put(f"/accounts/{own.account}", {"aclRoleNames": roles})
        told = own.ask("devices", "sv.device.refresh.all")
        assert (told["err"] and kind_of(told)) == expected


def test_a_token_that_ended_is_refused_at_the_next_request(own: LiveClient, world: Any) -> None:
    world.clock.pass_time(hours=24)
    assert kind_of(own.ask("accounts", UPDATE, {"account": {"id": own.account, "name": "x"}})) == (
        401,
        "InvalidCredentials",
        "",
    )


# --- the audit trail


def test_what_is_changed_is_in_the_audit_trail_and_what_is_read_is_not(world: Any, own: LiveClient) -> None:
    own.ask("accounts", "sv.account.refresh.all")
    own.ask("accounts", UPDATE, {"account": {"id": own.account, "name": "x"}})
    own.ask("accounts", UPDATE, {"account": {"id": UNKNOWN, "name": "x"}})
    entries = [entry for entry in world.admin.get("/audit").get_json() if entry["operation"].startswith("sv.")]
    assert [(entry["operation"], entry["accountId"], entry["entity"], entry["entityId"]) for entry in entries] == [
        (UPDATE, own.account, "account", own.account)
    ]


# --- limits


def test_who_asks_too_often_is_told_and_served_again_later(world: Any, own: LiveClient) -> None:
    namespace = f"/{own.account}_accounts"
    for number in range(600):
        own.socket.emit("sv.account.nothing", {"requestId": number}, namespace=namespace)
    told = own.next("accounts", CHANGED, lambda message: kind_of(message) == no(18))
    assert set(told) == {"err"}
    other = own.ask("devices", "sv.device.refresh.all")
    assert kind_of(other) == no(13)
    served = until(
        lambda: (told := own.ask("accounts", "sv.account.refresh.all"))["err"] is None and told,
        seconds=PATIENCE,
        what="a request that is served",
    )
    assert served == {"err": None, "count": 1}


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_payload_over_one_mebibyte_closes_the_transport_and_others_notice_nothing(  # noqa: PLR0917 - fixtures
    world: Any, live_url: str, own: LiveClient, ann: Any, bob: Any, transport: str
) -> None:
    payload = {"account": {"id": own.account, "name": "large"}, "more": "x" * MIB}
    beside = LiveClient(live_url, bob.post("/tokens").get_json(), "accounts")
    with LiveClient(live_url, ann.post("/tokens").get_json(), "accounts", "devices", transport=transport) as large:
        large.socket.emit(UPDATE, payload, namespace=f"/{own.account}_accounts")
        large.until_closed("accounts")
        large.until_closed("devices")
    with beside:
        for client in (beside, own):
            assert client.ask("accounts", "sv.account.refresh.all")["count"] == 1
            assert client.next("accounts", CHANGED)["account"]["name"] in {"ann", "bob"}


def test_a_payload_below_one_mebibyte_is_read(own: LiveClient) -> None:
    payload = {"account": {"id": own.account}, "more": "x" * (MIB - 1024)}
    assert own.ask("accounts", REFRESH, payload)["count"] == 1


# --- before a namespace is accepted


class Raw:
    """A connection that speaks Socket.IO by hand."""

    def __init__(self, url: str) -> None:
        self._heard: Queue[str] = Queue()
        self.socket = engineio.Client()
        self.socket.on("message", self._heard.put)
        self.socket.connect(url, transports=["websocket"], engineio_path="socket.io")

    def next(self) -> str:
        """The next message."""
        return self._heard.get(timeout=PATIENCE)

    def nothing(self) -> bool:
        """Whether nothing waits to be read."""
        try:
            self._heard.get_nowait()
        except Empty:
            return True
        return False


@pytest.mark.parametrize("refused", [False, True])
def test_events_before_a_namespace_is_accepted_do_nothing(world: Any, live_url: str, ann: Any, refused: bool) -> None:
    issued = ann.post("/tokens").get_json()
    account, namespace = issued["accountId"], f"/{issued['accountId']}_accounts"
    raw = Raw(live_url)
    try:
        if refused:
            raw.socket.send(f"0{namespace},{json.dumps({'token': 'bad'})}")
            assert raw.next().startswith(f"4{namespace},")
        payload = {"account": {"id": account, "name": "early"}}
        raw.socket.send(f"2{namespace},1{json.dumps([UPDATE, payload])}")
        raw.socket.send(f"2{namespace},2{json.dumps(['authentication', {'token': issued['token']}])}")
        raw.socket.send(f"0{namespace},{json.dumps({'token': issued['token']})}")
        greeting = sorted(raw.next().partition(",")[0] for _ in range(3))
        assert greeting == [f"0{namespace}", f"2{namespace}", f"2{namespace}"]
        raw.socket.send(f"2{namespace},3{json.dumps([REFRESH, {'account': {'id': account}}])}")
        assert '"name":"ann"' in raw.next()
        assert raw.next().startswith(f"3{namespace},3")
        assert raw.nothing()
    finally:
        raw.socket.disconnect()
    assert ann.get(f"/accounts/{account}").get_json()["name"] == "ann"
