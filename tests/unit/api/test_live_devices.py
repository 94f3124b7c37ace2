"""Operations on boards over the live API, and what is told of them (live API contract, sections 4 and 7)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from orchestrator.boards.store import BoardStore
from orchestrator.core import Core, build_core
from tests.unit.api.live_client import LiveClient
from tests.unit.api.live_errors import BAD, INVALID, UNKNOWN, kind_of, no, problems_of
from workties.messages import Bye, Heartbeat

CHANGED = "sv.device.changed"


@pytest.fixture
def admin(world: Any, live_url: str) -> Iterator[LiveClient]:
    """The administrator, connected to boards."""
    with LiveClient(live_url, world.admin.post("/tokens").get_json(), "devices") as client:
        yield client


class NoBoards:
    """The way down to boards that nobody listens on."""

    def assign(self, assignment: Any) -> None: ...

    def control(self, control: Any) -> None: ...


def core_of(world: Any) -> Core:
    """What an orchestrator makes of boards."""
    return build_core(world.db, NoBoards(), world.telling.audience, lambda package: None, clock=world.clock)  # type: ignore[arg-type, return-value]


def added(world: Any, name: str = "kitchen", **more: Any) -> str:
    return str(world.admin.post("/devices", {"name": name, **more}).get_json()["_id"])


def vitals(board: str, seq: int = 1, **more: Any) -> dict[str, Any]:
    values = {"slots": 2, "runtimes": ("python",), "labels": ("camera",), "agent_version": "2", "platform": "armv7l"}
    return {"id": "h", "at": "now", "board": board, "boot": "b", "seq": seq, "active": (), **values, **more}


def settled(world: Any, client: LiveClient) -> list[Any]:
    """What a client has heard of boards when everything that was changed before is told."""
    world.settle()
    client.ask("devices", "sv.device.no.such.operation")
    return client.taken("devices", CHANGED)[:-1]


def test_a_refresh_tells_all_boards_in_order_of_creation_to_the_asker_alone(
    world: Any, live_url: str, admin: LiveClient
) -> None:
    assert admin.ask("devices", "sv.device.refresh.all", {"requestId": 1}) == {"err": None, "requestId": 1, "count": 0}
    assert admin.next("devices", CHANGED) == {"err": None, "device": {}, "requestId": 1}
    ids = [added(world, name) for name in "ba"]
    settled(world, admin)
    with LiveClient(live_url, world.admin.post("/tokens").get_json(), "devices") as other:
        assert other.ask("devices", "sv.device.refresh.all", {"per_page": 1, "other": 1})["count"] == 2
        assert [told["device"]["id"] for told in other.taken("devices", CHANGED)] == ids
        assert other.ask("devices", "sv.device.refresh", {"device": {"id": ids[1]}}) == {"err": None, "count": 1}
        assert other.next("devices", CHANGED)["device"]["name"] == "a"
    assert settled(world, admin) == []


def test_an_added_board_is_told_to_everybody_who_may_see_boards(
    world: Any, live_url: str, admin: LiveClient, ann: Any
) -> None:
    world.admin.post("/accounts", {"email": "eve@mail", "password": "eve", "aclRoleNames": ["admin"]})
    eve, regular = world.client("eve@mail", "eve").post("/tokens").get_json(), ann.post("/tokens").get_json()
    with LiveClient(live_url, eve, "devices") as second, LiveClient(live_url, regular, "devices") as outsider:
        sent = {"name": "kitchen", "desc": "d", "labels": ["relay"], "slots": 3, "ip6Address": "fe80::1", "port": 22}
        payload = {"device": {**sent, "protocol": "amqp", "state": "running", "other": 1}, "requestId": "r"}
        assert admin.ask("devices", "sv.device.add", payload) == {"err": None, "requestId": "r"}
        [told] = admin.taken("devices", CHANGED)
        board = world.admin.get("/devices").get_json()[0]["_id"]
        assert told == {
            "err": None,
            "requestId": "r",
            "device": {
                "id": board,
                "name": "kitchen",
                "desc": "d",
                "state": "disconnected",
                "ipAddress": "fe80::1",
                "port": 22,
                "protocol": "amqp",
                "disabled": False,
                "draining": False,
                "platform": None,
                "slots": 3,
                "slotsBusy": 0,
                "labels": ["relay"],
                "lastSeen": None,
                "agentVersion": None,
            },
        }
        assert settled(world, second) == [told]
        assert settled(world, outsider) == []
    assert world.broker.told == [("add", board)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "hall"}, {"name": "hall"}),
        ({"desc": "d", "state": "running", "slots": 9}, {"desc": "d", "state": "disconnected", "slots": 0}),
        ({"disabled": True}, {"disabled": True}),
        ({"draining": True}, {"draining": True}),
        ({"labels": ["b", "a"]}, {"labels": ["a", "b"]}),
        ({"ip4Address": "10.0.0.7", "ip6Address": "fe80::1"}, {"ipAddress": "10.0.0.7"}),
        ({"state": "running"}, {"state": "disconnected"}),
    ],
)
def test_a_changed_board_is_told_as_it_is(
    world: Any, admin: LiveClient, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    board = added(world)
    settled(world, admin)
    told = admin.ask("devices", "sv.device.upd", {"device": {"id": board, **changes}, "requestId": 5})
    assert told["err"] is None
    [message] = admin.taken("devices", CHANGED)
    assert message["requestId"] == 5
    assert {name: message["device"][name] for name in expected} == expected
    assert message["device"]["id"] == board


def test_a_deleted_board_is_told_and_its_attempts_are_lost(world: Any, admin: LiveClient) -> None:
    board = added(world)
    settled(world, admin)
    assert admin.ask("devices", "sv.device.del", {"device": {"id": board}, "requestId": 5})["err"] is None
    assert admin.taken("devices", CHANGED) == [{"err": None, "device": {"id": board, "deleted": True}, "requestId": 5}]
    assert world.broker.told[-1] == ("lose", board)
    assert world.admin.get("/devices").get_json() == []


@pytest.mark.parametrize(
    ("event", "payload", "expected"),
    [
        ("refresh", {}, BAD),
        ("refresh", {"device": {"id": ""}}, BAD),
        ("refresh", {"device": "kitchen"}, BAD),
        ("refresh", {"device": {"id": "kitchen"}}, no(2)),
        ("refresh", {"device": {"id": UNKNOWN}}, no(2)),
        ("add", {}, BAD),
        ("add", {"device": {}}, BAD),
        ("add", {"device": ["kitchen"]}, BAD),
        ("add", {"device": {"desc": "x"}}, INVALID),
        ("add", {"device": {"name": ""}}, INVALID),
        ("add", {"device": {"name": 5}}, INVALID),
        ("add", {"device": {"name": "taken"}}, INVALID),
        ("add", {"device": {"name": "x", "slots": -1}}, INVALID),
        ("add", {"device": {"name": "x", "slots": 1025}}, INVALID),
        ("add", {"device": {"name": "x", "slots": "many"}}, INVALID),
        ("add", {"device": {"name": "x", "labels": [5]}}, INVALID),
        ("add", {"device": {"name": "x", "ip4Address": "fe80::1"}}, INVALID),
        ("upd", {"device": {"name": "x"}}, BAD),
        ("upd", {"device": {"id": "own"}}, BAD),
        ("upd", {"device": {"id": "own", "slots": 3, "other": 1}}, BAD),
        ("upd", {"device": {"id": "own", "name": "taken"}}, INVALID),
        ("upd", {"device": {"id": "own", "name": ""}}, INVALID),
        ("upd", {"device": {"id": "own", "disabled": "perhaps"}}, INVALID),
        ("upd", {"device": {"id": UNKNOWN, "desc": "x"}}, no(3)),
        ("upd", {"device": {"id": UNKNOWN, "state": "running"}}, no(3)),
        ("upd", {"device": {"id": 5, "desc": "x"}}, no(3)),
        ("del", {"device": {}}, BAD),
        ("del", {"device": {"id": UNKNOWN}}, no(4)),
        ("del", {"device": {"id": "kitchen"}}, no(4)),
    ],
)
def test_a_wrong_request_changes_nothing_and_tells_only_the_asker(
    world: Any, admin: LiveClient, event: str, payload: dict[str, Any], expected: Any
) -> None:
    added(world, "taken")
    own = added(world)
    if isinstance(payload.get("device"), dict) and payload["device"].get("id") == "own":
        payload = {"device": payload["device"] | {"id": own}}
    settled(world, admin)
    before = world.admin.get("/devices").get_json()
    told = admin.ask("devices", f"sv.device.{event}", payload | {"requestId": 5})
    assert kind_of(told) == expected
    assert told["err"]["body"]["error"]["inputParameters"] == payload
    assert admin.taken("devices", CHANGED) == [{"err": told["err"], "requestId": 5}]
    assert world.admin.get("/devices").get_json() == before


def test_a_name_in_use_is_told_as_a_problem_of_the_name(world: Any, admin: LiveClient) -> None:
    added(world)
    told = admin.ask("devices", "sv.device.add", {"device": {"name": "kitchen"}})
    assert problems_of(told) == ["Path `name` is already in use: a board 'kitchen' exists."]


def test_while_the_broker_is_away_no_board_is_added(world: Any, admin: LiveClient) -> None:
    world.broker.away = True
    told = admin.ask("devices", "sv.device.add", {"device": {"name": "kitchen"}})
    assert kind_of(told) == no(1)
    assert admin.taken("devices", CHANGED) == [told]
    assert world.admin.get("/devices").get_json() == []
    world.broker.away = False
    assert admin.ask("devices", "sv.device.add", {"device": {"name": "kitchen"}}) == {"err": None}


@pytest.mark.parametrize("event", ["refresh.all", "refresh", "add", "upd", "del"])
def test_boards_are_the_affair_of_administrators(world: Any, live_url: str, ann: Any, event: str) -> None:
    board = added(world)
    with LiveClient(live_url, ann.post("/tokens").get_json(), "devices") as client:
        told = client.ask("devices", f"sv.device.{event}", {"device": {"id": board, "name": "x"}})
        assert kind_of(told) == no(13)
        assert client.taken("devices", CHANGED) == [told]
    assert [found["name"] for found in world.admin.get("/devices").get_json()] == ["kitchen"]


def test_changes_over_rest_are_told_without_a_request(world: Any, admin: LiveClient) -> None:
    board = added(world)
    world.admin.put(f"/devices/{board}", {"disabled": True})
    world.admin.delete(f"/devices/{board}")
    told = settled(world, admin)
    assert all(set(message) == {"err", "device"} for message in told)
    assert {message["device"]["id"] for message in told} == {board}
    assert told[-1]["device"] == {"id": board, "deleted": True}


# --- the life of a board


def test_every_change_of_state_is_told(world: Any, admin: LiveClient) -> None:
    core, board = core_of(world), added(world)
    settled(world, admin)
    states = []
    for happens in (
        lambda: core.fleet.heard(Heartbeat(**vitals(board))),
        lambda: core.fleet.heard(Bye(**vitals(board, 2), reason="stops")),
        lambda: core.fleet.heard(Heartbeat(**vitals(board, 1, boot="c"))),
    ):
        happens()
        states += [message["device"]["state"] for message in settled(world, admin)]
    assert states == ["waiting", "disconnected", "waiting"]
    world.clock.pass_time(seconds=10)
    core.reconciler.sweep(world.clock())
    assert settled(world, admin) == []
    world.clock.pass_time(seconds=10)
    core.reconciler.sweep(None)
    assert settled(world, admin) == []
    core.reconciler.sweep(BoardStore(world.db).all()[0].last_seen)
    assert [message["device"]["state"] for message in settled(world, admin)] == ["disconnected"]


def test_what_a_board_says_of_itself_is_told(world: Any, admin: LiveClient) -> None:
    core, board = core_of(world), added(world, labels=["relay"], slots=7)
    settled(world, admin)
    core.fleet.heard(Heartbeat(**vitals(board)))
    [told] = settled(world, admin)
    expected = {"slots": 2, "slotsBusy": 0, "labels": ["camera", "relay"], "platform": "armv7l", "agentVersion": "2"}
    assert told["device"] == told["device"] | expected | {"lastSeen": "2026-01-02T03:04:05.000Z"}
    assert "requestId" not in told


def test_of_heartbeats_at_the_same_time_one_is_told(world: Any) -> None:
    store, board = BoardStore(world.db), added(world)
    assert store.heard(Heartbeat(**vitals(board)), world.clock()).news  # type: ignore[union-attr]
    world.clock.pass_time(seconds=10)
    together = Barrier(8)

    def heard(seq: int) -> bool:
        together.wait()
        noted = store.heard(Heartbeat(**vitals(board, seq)), world.clock())
        return noted is not None and noted.news

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(heard, range(2, 10))) == 1
