"""Boards on the in-memory broker, from an assignment to the last event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workties.builtin import builtin_packages


def builtin(name: str) -> bytes:
    return next(found.data for found in builtin_packages() if found.manifest.name == name)


def test_a_step_runs_from_its_assignment_to_completed(server: Any, start: Callable[..., Any]) -> None:
    start(server.settings("board-01"))
    sent = server.assign("board-01", builtin("with-delay"), properties=[{"id": "p", "name": "delay", "value": 0.3}])
    final = server.hear_final(sent)
    assert final["kind"] == "completed", final
    assert final["output"] == {"delayed": 0.3}
    assert server.authors == {"board-01"}
    events = server.events(sent)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    states = [event["state"] for event in events if event["kind"] == "state"]
    assert states[0] == "running"
    assert list(dict.fromkeys(states[1:])) == ["preparing", "waiting", "finishing"]
