"""Boards over REST: what administrators see and change, and what follows."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.boards.store import BoardStore
from workties.messages import Heartbeat

UNKNOWN = "5f" * 12


def added(world: Any, name: str = "kitchen", **more: Any) -> str:
    answer = world.admin.post("/devices", {"name": name, **more})
    assert answer.status_code == 201, answer.get_json()
    return str(answer.get_json()["_id"])


def connected(world: Any, board_id: str, **vitals: Any) -> None:
    values = {"slots": 2, "runtimes": ("python",), "labels": ("camera",), "agent_version": "2", "platform": "armv7l"}
    heartbeat = Heartbeat(id="h", at="now", board=board_id, boot="b", seq=1, active=(), **{**values, **vitals})
    assert BoardStore(world.db).heard(heartbeat, world.clock()) is not None


def test_a_new_board_has_queues_and_is_disconnected(world: Any) -> None:
    answer = world.admin.post("/devices", {"name": "kitchen", "desc": "under the sink", "ip4Address": "10.0.0.7"})
    board = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost/api/v1/devices/{board['_id']}"
    assert board == {
        "_id": board["_id"],
        "name": "kitchen",
        "desc": "under the sink",
        "protocol": "amqp",
        "ip4Address": "10.0.0.7",
        "ip6Address": "",
        "port": 0,
        "stateId": str(world.db["device_states"].find_one({"name": "disconnected"})["_id"]),
        "state": "disconnected",
        "disabled": False,
        "draining": False,
        "slots": 0,
        "slotsBusy": 0,
        "labels": [],
        "runtimes": [],
        "created": "2026-01-02T03:04:05.000Z",
    }
    assert world.broker.told == [("add", board["_id"])]
    assert world.admin.get("/devices").get_json() == [board]
    assert world.admin.get(f"/devices/{board['_id']}").get_json() == board


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "Path `name` is required."),
        ({"name": " "}, "Path `name` is required."),
        ({"name": 5}, "Path `name` is not a text."),
        ({"name": "x" * 257}, "Path `name` is longer than the maximum allowed length (256)."),
        ({"name": "x", "desc": "x" * 4097}, "Path `desc` is longer than the maximum allowed length (4096)."),
        ({"name": "x", "labels": 5}, "Path `labels` is not a list of texts."),
        ({"name": "x", "labels": [" "]}, "Path `labels` must be up to 64 texts of 1 to 64 characters."),
        ({"name": "x", "ip4Address": "::1"}, "Path `ip4Address` is not an IPv4 address."),
        ({"name": "x", "ip6Address": "10.0.0.1"}, "Path `ip6Address` is not an IPv6 address."),
        ({"name": "x", "port": 65536}, "Path `port` is not a whole number from 0 to 65535."),
        ({"name": "x", "port": True}, "Path `port` is not a whole number from 0 to 65535."),
        ({"name": "x", "disabled": None}, "Path `disabled` is not true or false."),
        ({"name": "taken"}, "Path `name` is already in use: a board 'taken' exists."),
    ],
)
def test_a_wrong_board_is_refused_with_the_reason_and_nothing_is_stored(
    world: Any, body: dict[str, Any], problem: str
) -> None:
    taken = added(world, "taken")
    answer = world.admin.post("/devices", body)
    assert answer.status_code == 409
    assert answer.get_json()["error"]["errors"] == [{"message": problem}]
    assert [board["_id"] for board in world.admin.get("/devices").get_json()] == [taken]
    assert world.broker.told == [("add", taken)]


def test_while_the_broker_is_away_no_board_is_added(world: Any) -> None:
    world.broker.away = True
    answer = world.admin.post("/devices", {"name": "kitchen"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert world.admin.get("/devices").get_json() == []


def test_what_a_board_says_is_shown_beside_what_people_gave_it(world: Any) -> None:
    board = added(world, labels=["relay"])
    connected(world, board)
    shown = world.admin.get(f"/devices/{board}").get_json()
    assert (shown["state"], shown["slots"], shown["slotsBusy"]) == ("waiting", 2, 0)
    assert (shown["labels"], shown["runtimes"]) == (["camera", "relay"], ["python"])
    assert (shown["agentVersion"], shown["platform"]) == ("2", "armv7l")
    assert shown["lastSeen"] == "2026-01-02T03:04:05.000Z"


def test_a_board_with_a_leased_slot_is_running(world: Any) -> None:
    store, board = BoardStore(world.db), added(world)
    connected(world, board)
    assert store.lease(store.all()[0], str(ObjectId()), world.clock())
    shown = world.admin.get(f"/devices/{board}", embed="state", fields="stateId,slotsBusy").get_json()
    assert shown["stateId"]["name"] == "running"
    assert shown["slotsBusy"] == 1


def test_labels_that_people_gave_count_when_a_board_is_chosen(world: Any) -> None:
    board = added(world, labels=["relay"])
    connected(world, board)
    [found] = BoardStore(world.db).available()
    assert found.fits(["python"], ["relay", "camera"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "hall"}, {"name": "hall"}),
        ({"desc": "d"}, {"desc": "d"}),
        ({"labels": ["b", "a", "b"]}, {"labels": ["a", "b"]}),
        ({"labels": "one"}, {"labels": ["one"]}),
        ({"disabled": True}, {"disabled": True}),
        ({"draining": True, "port": 22}, {"draining": True, "port": 22}),
        ({"ip6Address": "fe80::1", "state": "running", "slots": 9}, {"ip6Address": "fe80::1", "slots": 0}),
    ],
)
def test_a_board_is_changed_and_waiting_runs_are_served(
    world: Any, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    board = added(world)
    answer = world.admin.put(f"/devices/{board}", body)
    assert answer.status_code == 200
    assert answer.get_json() == world.admin.get(f"/devices/{board}").get_json()
    assert {name: answer.get_json()[name] for name in expected} == expected
    assert world.broker.told[-1] == ("serve",)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"state": "running", "slots": 3, "other": 1}, 400),
        ({"name": ""}, 409),
        ({"name": "taken"}, 409),
        ({"disabled": "perhaps"}, 409),
    ],
)
def test_a_wrong_change_of_a_board_changes_nothing(world: Any, body: dict[str, Any], status: int) -> None:
    added(world, "taken")
    board = added(world)
    before = world.admin.get(f"/devices/{board}").get_json()
    assert world.admin.put(f"/devices/{board}", body).status_code == status
    assert world.admin.get(f"/devices/{board}").get_json() == before


def test_a_removed_board_is_gone_and_its_attempts_are_lost(world: Any) -> None:
    board = added(world)
    answer = world.admin.delete(f"/devices/{board}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert world.broker.told[-1] == ("lose", board)
    assert world.admin.get("/devices").get_json() == []
    assert world.admin.delete(f"/devices/{board}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("board", [UNKNOWN, "malformed"])
def test_an_unknown_board_is_not_found(world: Any, method: str, board: str) -> None:
    answer = world.admin.send(method, f"/devices/{board}", **({"json": {"desc": "d"}} if method == "PUT" else {}))
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, 2)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("GET", f"/{UNKNOWN}"), ("PUT", f"/{UNKNOWN}"), ("DELETE", f"/{UNKNOWN}")],
)
def test_boards_are_the_affair_of_administrators(ann: Any, method: str, path: str) -> None:
    answer = ann.send(method, f"/devices{path}", **({"json": {}} if method in {"POST", "PUT"} else {}))
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, 13)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "bca"),
        ({"sort": "name"}, "abc"),
        ({"sort": "-slots,name"}, "bac"),
        ({"state": "waiting"}, "b"),
        ({"state": "disconnected", "sort": "-name"}, "ca"),
        ({"disabled": "true"}, "a"),
        ({"slots": "2"}, "b"),
        ({"per_page": "2", "page_num": "2"}, "a"),
        ({"lastSeen": "2026-01-02T03:04:05Z"}, "b"),
    ],
)
def test_boards_are_listed_as_everything_else(world: Any, query: dict[str, str], expected: str) -> None:
    boards = [added(world, name) for name in "bca"]
    connected(world, boards[0])
    world.admin.put(f"/devices/{boards[2]}", {"disabled": True})
    assert "".join(board["name"] for board in world.admin.get("/devices", **query).get_json()) == expected


@pytest.mark.parametrize(("name", "value"), [("labels", "camera"), ("leases", "x"), ("slots", "two"), ("id", "1")])
def test_boards_are_not_filtered_by_anything_else(world: Any, name: str, value: str) -> None:
    assert world.admin.get("/devices", **{name: value}).status_code == 400
