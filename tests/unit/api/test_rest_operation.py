"""What operators rely on: health, readiness, metrics, limits, and headers for browsers."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from pymongo.errors import ServerSelectionTimeoutError

from api.rest.health import Dependencies
from api.server import create_app
from api.settings import ApiSettings
from orchestrator.runs.course import completed
from orchestrator.runs.store import RunStore
from orchestrator.runs.turn import Turn
from orchestrator.runs.vocabulary import StepState
from tests.unit.api.runs import BOARD, step, stored

ABROAD = {"REMOTE_ADDR": "203.0.113.7"}
PROXIED = {"X-Forwarded-For": "203.0.113.7"}


def served(world: Any, **settings: Any) -> Any:
    """The same server with other settings."""
    app: Flask = create_app(world.services, ApiSettings(**settings))[0]
    client = world.client()
    client.http = app.test_client()
    return client


# --- health and readiness


def test_a_server_with_everything_it_needs_is_ready(world: Any) -> None:
    answer = world.client().send("GET", "http://localhost/readyz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ready", "database": "ok", "broker": "ok"})


def test_a_server_that_is_not_ready_names_what_is_down(world: Any) -> None:
    world.broker.away = True
    answer = world.client().send("GET", "http://localhost/readyz")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.get_json() == {"status": "not ready", "database": "ok", "broker": "down"}


def test_a_dependency_that_raises_or_never_answers_is_down_within_the_patience() -> None:
    answered = threading.Event()

    def broken() -> None:
        raise ServerSelectionTimeoutError("gone")

    checks = {"fine": lambda: None, "broken": broken, "hanging": lambda: answered.wait(30)}
    dependencies = Dependencies(checks, patience=0.1)
    began = time.monotonic()
    try:
        assert dependencies.present() == {"fine": True, "broken": False, "hanging": False}
        assert time.monotonic() - began < 1
    finally:
        answered.set()


# --- metrics


def test_metrics_count_requests_by_template_and_what_there_is_to_do(world: Any, ann: Any) -> None:
    world.broker.events, world.broker.dead_letters = 7, 2
    world.admin.post("/devices", {"name": "kitchen"})
    ann.get("/workflows/" + "5f" * 12)
    ann.send("GET", "http://localhost/nowhere")
    text = ann.send("GET", "http://localhost/metrics").get_data(as_text=True)
    lines = text.splitlines()
    for endpoint in ("/api/v1/workflows/<id>", "unknown"):
        assert f'workty_http_requests_total{{endpoint="{endpoint}",method="GET",status="404"}} 1.0' in lines
    assert 'workty_http_request_seconds_count{endpoint="/api/v1/workflows/<id>",method="GET"} 1.0' in lines
    assert 'workty_boards{state="disconnected"} 1.0' in lines
    assert 'workty_runs{state="running"} 0.0' in lines
    assert 'workty_queue_messages{queue="events"} 7.0' in lines
    assert 'workty_queue_messages{queue="dead-letters"} 2.0' in lines
    assert 'workty_dependency_up{dependency="broker"} 1.0' in lines


def test_metrics_tell_how_fast_steps_end_and_how_far_orchestrators_are_behind(world: Any, ann: Any) -> None:
    def figures() -> dict[str, float]:
        text = world.client().send("GET", "http://localhost/metrics").get_data(as_text=True)
        lines = [line.split(" ") for line in text.splitlines() if line.startswith(("workty_steps", "workty_event"))]
        return {name: float(value) for name, value in lines}

    assert figures() == {"workty_steps_per_second": 0.0}
    run = stored(world, ann, step("copy", StepState.RUNNING, attempt=1, board=BOARD), step("send"))
    found = RunStore(world.db).load(run)
    turn = Turn(replace(found.run, board=BOARD), world.clock())
    completed(turn, {})
    assert RunStore(world.db).save(found, turn.decision(), "token", world.clock()) is not None
    world.services.pulse.note(world.clock())
    world.services.pulse.note(world.clock() - timedelta(seconds=9))
    world.clock.pass_time(seconds=4)
    assert figures() == {"workty_steps_per_second": pytest.approx(1 / 60), "workty_event_lag_seconds": 4.0}
    world.clock.pass_time(minutes=2)
    assert figures()["workty_steps_per_second"] == 0.0


def test_metrics_leave_out_what_nobody_can_tell(world: Any) -> None:
    world.broker.away = True
    text = world.client().send("GET", "http://localhost/metrics").get_data(as_text=True)
    assert 'workty_dependency_up{dependency="broker"} 0.0' in text
    assert "workty_queue_messages" not in text


def test_metrics_are_for_this_machine_and_for_admins(world: Any, ann: Any) -> None:
    def asked(client: Any, **options: Any) -> int:
        return int(client.send("GET", "http://localhost/metrics", **options).status_code)

    assert asked(world.client()) == 200
    assert asked(world.client(), environ_base=ABROAD) == 401
    assert asked(world.client(), headers=PROXIED) == 401
    assert asked(ann, environ_base=ABROAD) == 403
    assert asked(world.admin, environ_base=ABROAD) == 200
    assert asked(served(world, metrics_public=True), environ_base=ABROAD) == 200


# --- limits


def status_codes(client: Any, count: int, **options: Any) -> list[int]:
    return [client.send("GET", "/workflows", **options).status_code for _ in range(count)]


def test_an_address_that_asks_too_often_is_told_when_to_come_back(world: Any) -> None:
    client = served(world, rate_limit="3 per hour")
    assert status_codes(client, 3, environ_base=ABROAD) == [401] * 3
    answer = client.send("GET", "/workflows", environ_base=ABROAD)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 3601  # rounded up
    error = answer.get_json()["error"]
    assert (error["code"], error["error_link"][-7:]) == ("", "/v1/429")
    assert error["message"].startswith("Too many requests")
    assert status_codes(client, 1, environ_base={"REMOTE_ADDR": "203.0.113.8"}) == [401]


def test_an_account_is_limited_wherever_it_asks_from(world: Any, ann: Any, bob: Any) -> None:
    client = served(world, rate_limit="3 per hour")

    def asked(who: Any, address: int) -> int:
        client.authorization = who.authorization
        return status_codes(client, 1, environ_base={"REMOTE_ADDR": f"203.0.113.{address}"})[0]

    assert [asked(ann, number) for number in range(1, 5)] == [200, 200, 200, 429]
    assert asked(bob, 1) == 200


def test_this_machine_is_not_limited_unless_it_shall_be(world: Any, ann: Any) -> None:
    free, counted = (
        served(world, rate_limit="3 per hour"),
        served(world, rate_limit="3 per hour", rate_limit_loopback=True),
    )
    for client in (free, counted):
        client.authorization = ann.authorization
    assert status_codes(free, 5) == [200] * 5
    assert status_codes(counted, 4) == [200, 200, 200, 429]


def test_who_comes_through_a_proxy_on_this_machine_is_limited(world: Any) -> None:
    client = served(world, rate_limit="3 per hour")
    assert status_codes(client, 4, headers=PROXIED) == [401, 401, 401, 429]


def test_clients_behind_a_trusted_proxy_are_told_apart(world: Any) -> None:
    client = served(world, rate_limit="3 per hour", trusted_proxies=1)
    assert status_codes(client, 4, headers=PROXIED) == [401, 401, 401, 429]
    assert status_codes(client, 1, headers={"X-Forwarded-For": "203.0.113.8"}) == [401]


def test_the_default_limit_does_not_disturb(world: Any) -> None:
    assert 429 not in status_codes(world.client(), 100, environ_base=ABROAD)


# --- headers


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/workflows", "/nowhere", "/api/v1/docs"])
def test_every_answer_says_what_browsers_may_do_with_it(world: Any, path: str) -> None:
    answer = world.client().send("GET", "http://localhost" + path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers


def test_over_tls_browsers_are_told_to_stay_there(world: Any) -> None:
    answer = world.client().send("GET", "/workflows", base_url="https://localhost")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


def test_pages_of_chosen_origins_may_use_the_api(world: Any, ann: Any) -> None:
    client = served(world, cors_origins=("https://pages.example",))
    client.authorization = ann.authorization
    allowed = client.send("GET", "/workflows", headers={"Origin": "https://pages.example"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://pages.example"
    assert "Origin" in allowed.headers.getlist("Vary")
    other = client.send("GET", "/workflows", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert "Origin" in other.headers.getlist("Vary")


def test_browsers_may_ask_beforehand_without_a_login(world: Any) -> None:
    client = served(world, cors_origins=("https://pages.example",))
    headers = {"Origin": "https://pages.example", "Access-Control-Request-Method": "PUT"}
    answer = client.send("OPTIONS", "/workflows/" + "5f" * 12, headers=headers)
    assert answer.status_code == 200
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
