"""Requests with an Idempotency-Key are carried out once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

KEY = {"Idempotency-Key": "a-key"}


def test_the_same_request_twice_is_done_once_and_answered_the_same_way(ann: Any) -> None:
    first, second = (ann.post("/workflows", {"name": "w"}, headers=KEY) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    assert first.headers["Location"] == second.headers["Location"]
    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    assert ("Idempotency-Replayed" in first.headers, second.headers["Idempotency-Replayed"]) == (False, "true")
    assert len(ann.get("/workflows").get_json()) == 1


def test_running_a_workflow_twice_with_one_key_starts_it_once(world: Any, ann: Any) -> None:
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    ann.post(f"/workflows/{workflow}/worktiesInstances", {"worktyId": world.template("without-delay")})
    path = f"/workflows/{workflow}/running"
    answers = [ann.send("PUT", path, headers=KEY) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [command for command, *_ in world.runs.told].count("start") == 1


def test_a_key_belongs_to_account_and_path(world: Any, ann: Any, bob: Any) -> None:
    for client in (ann, bob):
        assert client.post("/workflows", {"name": "w"}, headers=KEY).status_code == 201
        assert len(client.get("/workflows").get_json()) == 1
    workflow = ann.get("/workflows").get_json()[0]["_id"]
    body = {"worktyId": world.template("without-delay")}
    assert ann.post(f"/workflows/{workflow}/worktiesInstances", body, headers=KEY).status_code == 201


def test_a_key_of_another_request_is_refused(ann: Any) -> None:
    ann.post("/workflows", {"name": "w"}, headers=KEY)
    answer = ann.post("/workflows", {"name": "other"}, headers=KEY)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.get_json()["error"]["message"]
    assert len(ann.get("/workflows").get_json()) == 1


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256])
def test_a_key_that_is_none_is_refused(ann: Any, key: str) -> None:
    assert ann.post("/workflows", {"name": "w"}, headers={"Idempotency-Key": key}).status_code == 400
    assert ann.get("/workflows").get_json() == []


def test_a_refused_request_may_be_mended_under_its_key(ann: Any) -> None:
    assert ann.post("/workflows", {}, headers=KEY).status_code == 409
    assert ann.post("/workflows", {"name": "w"}, headers=KEY).status_code == 201


def test_a_key_is_forgotten_after_a_day(world: Any, ann: Any) -> None:
    ann.post("/workflows", {"name": "w"}, headers=KEY)
    world.clock.pass_time(hours=23, minutes=59)
    assert ann.post("/workflows", {"name": "w"}, headers=KEY).headers["Idempotency-Replayed"] == "true"
    world.clock.pass_time(minutes=1)
    assert "Idempotency-Replayed" not in ann.post("/workflows", {"name": "w"}, headers=KEY).headers
    assert len(ann.get("/workflows").get_json()) == 2


def test_while_the_first_is_under_way_the_second_is_told_to_wait(
    world: Any, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, services = threading.Event(), threading.Event(), world.services
    create = type(services.workflows).create

    def slowly(*args: Any) -> Any:
        begun.set()
        assert go_on.wait(10)
        return create(*args)

    monkeypatch.setattr(type(services.workflows), "create", slowly)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(ann.post, "/workflows", {"name": "w"}, headers=KEY)
        assert begun.wait(10)
        second = world.client("ann@mail", "ann").post("/workflows", {"name": "w"}, headers=KEY)
        go_on.set()
        assert first.result().status_code == 201
    assert (second.status_code, second.headers["Retry-After"]) == (409, "1")
    assert len(ann.get("/workflows").get_json()) == 1


def test_a_request_that_was_cut_off_is_never_done_again(world: Any, ann: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: Any) -> Any:
        raise AutoReconnect("gone")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.services.workflows), "create", cut_off)
        assert ann.post("/workflows", {"name": "w"}, headers=KEY).status_code == 503
    assert ann.post("/workflows", {"name": "w"}, headers=KEY).headers["Retry-After"] == "1"
    world.clock.pass_time(minutes=2)
    answer = ann.post("/workflows", {"name": "w"}, headers=KEY)
    assert (answer.status_code, "Retry-After" in answer.headers) == (409, False)
    assert "not known" in answer.get_json()["error"]["message"]
    assert ann.get("/workflows").get_json() == []


def test_no_secret_is_kept_with_an_answer(world: Any) -> None:
    body = {"name": "new", "email": "new@mail"}
    first, second = (world.admin.post("/accounts", body, headers=KEY).get_json() for _ in range(2))
    assert first == second | {"initialPassword": first["initialPassword"]}
    tokens = [world.admin.post("/tokens", headers=KEY).get_json()["token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    assert world.db["idempotency"].count_documents({}) == 1


def test_other_methods_do_not_care_for_the_key(ann: Any) -> None:
    workflow = ann.post("/workflows", {"name": "w"}).get_json()["_id"]
    for desc in ("one", "two"):
        assert ann.send("PUT", f"/workflows/{workflow}", json={"desc": desc}, headers=KEY).get_json()["desc"] == desc
