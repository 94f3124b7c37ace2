"""What an operator can follow of a run through all processes: one trace, and log lines that say what they are about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.user import User
from tests.servers import waiting
from tests.servers.broker import Vhost
from tests.servers.collector import Collector
from tests.servers.stack import RealStack

pytestmark = pytest.mark.real

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Takes the spans of all processes."""
    with Collector() as collector:
        yield collector


@pytest.fixture
def traced(vhost: Vhost, database_url: str, tmp_path: Path, collector: Collector) -> Iterator[RealStack]:
    """A stack with one board that sends its spans at once."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with RealStack(vhost, database_url, tmp_path, settings) as stack:
        stack.add_board("one", slots=1)
        yield stack


def test_a_request_is_followed_to_the_states_of_its_steps_on_the_board(
    traced: RealStack, collector: Collector, new_user: Callable[[str], User]
) -> None:
    user = new_user(traced.url)
    workflow = user.workflow("without-delay", ("with-delay", {"delay": 0.1}))
    asked = requests.put(
        f"{traced.url}/api/v1/workflows/{workflow}/running",
        auth=user.login,
        headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
        timeout=60,
    )
    assert asked.ok
    run = user.until_run(workflow, "completed")["run"]["id"]

    def seen(service: str, name: str) -> list[dict[str, str]]:
        return [s.about for s in collector.spans if (s.service, s.trace, s.name) == (service, TRACE, name)]

    waiting.until(lambda: len(seen("workty-agent", "attempt")) == 2, seconds=60, what="the board's spans")
    assert seen("workty-api", "PUT /api/v1/workflows/<id>/running") == [{"workty.status": "200"}]
    dispatched = seen("workty-api", "dispatch") + seen("workty-orchestrator", "dispatch")
    assert {about["workty.run"] for about in dispatched} == {run}
    assert sorted(about["workty.attempt"] for about in dispatched) == ["1", "1"]
    ran = {about["workty.workty"] for about in seen("workty-agent", "attempt")}
    assert ran == {"without-delay", "with-delay"}
    states = [span for span in collector.spans if span.trace == TRACE and span.name.startswith("state ")]
    attempts = {span.id for span in collector.spans if span.name == "attempt"}
    assert len(states) >= 2
    assert {span.parent for span in states} == attempts
    # Log lines of the board name the same run, step, attempt and trace.
    lines = [json.loads(line) for line in traced.processes["one"].log.read_text().splitlines()]
    begun = [line for line in lines if line["message"].startswith("Begins")]
    assert [(line["run"], line["attempt"], line["trace"]) for line in begun] == [(run, 1, TRACE)] * 2
    assert {line["board"] for line in lines} == {about_board(dispatched)}


def about_board(dispatched: list[dict[str, Any]]) -> str:
    """The one board that attempts were sent to."""
    (board,) = {str(about["workty.board"]) for about in dispatched}
    return board
