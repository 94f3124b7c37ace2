"""What is told about an entity is never older, at the end, than what was told about its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.live.news import News
from orchestrator.live import EntityChange, EntityKind

CHANGE = EntityChange(kind=EntityKind.WORKFLOW, id="w", owner="ann", asked_by="ann", request_id=7)


def workflow(seq: int, finished: str | None = None) -> dict[str, Any]:
    return {"id": "w", "run": {"id": "r", "seq": seq, "finished": finished}}


def told(states: list[dict[str, Any] | None], change: EntityChange = CHANGE) -> list[tuple[Any, Any]]:
    """Number of the run's change, and name of the request, of each message when a workflow is read like this."""
    heard: list[Mapping[str, Any]] = []
    news = News(lambda event, payload, namespace: heard.append(payload))
    states.reverse()
    news.begin(lambda change: states.pop())
    news.changed(change)
    assert news.settle(20)
    assert states == []
    return [(payload["workflow"]["run"]["seq"], payload.get("requestId")) for payload in heard]


def test_a_workflow_whose_run_moves_on_while_it_is_told_is_told_again() -> None:
    assert told([workflow(1), workflow(3), workflow(4), workflow(4)]) == [(1, 7), (3, None), (4, None)]


def test_a_workflow_whose_run_stands_still_or_has_ended_is_told_once() -> None:
    assert told([workflow(1), workflow(1)]) == [(1, 7)]
    assert told([workflow(2, finished="now")]) == [(2, 7)]
    assert told([workflow(1), workflow(2, finished="now")]) == [(1, 7), (2, None)]


def test_a_workflow_that_goes_while_it_is_told_is_not_told_again() -> None:
    assert told([workflow(1), None]) == [(1, 7)]
