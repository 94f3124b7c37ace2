"""What a client does over the live API alone, on the embedded stack with its simulated boards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.user import assert_legal
from tests.servers.embedded import EmbeddedServer
from tests.servers.stack import ADMIN, REQUEST_SECONDS
from tests.unit.api.live_client import LiveClient

CHANGED = "sv.workflow.changed"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    directory: Path = tmp_path_factory.mktemp("up")
    with EmbeddedServer(directory) as found:
        yield found


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[LiveClient]:
    """A client of a new account, in the contexts `workflows` and `workties`."""
    account = {"name": "ann", "email": f"{secrets.token_hex(6)}@mail", "password": "secret"}
    base = f"{server.url}/api/v1"
    requests.post(f"{base}/accounts", json=account, auth=ADMIN, timeout=REQUEST_SECONDS).raise_for_status()
    login = (account["email"], account["password"])
    issued = requests.post(f"{base}/tokens", json={}, auth=login, timeout=REQUEST_SECONDS).json()
    with LiveClient(server.url, issued, "workflows", "workties") as found:
        yield found


def asked(client: LiveClient, event: str, payload: dict[str, Any]) -> Any:
    """The workflow as the answer to a request tells it."""
    acknowledged = client.ask("workflows", event, payload | {"requestId": event})
    assert (acknowledged["err"], acknowledged["requestId"]) == (None, event)
    return client.next("workflows", CHANGED, lambda told: told.get("requestId") == event)["workflow"]


def built(client: LiveClient, *delays: float) -> Any:
    """A workflow with an instance of `with-delay` for each of the delays, in seconds."""
    client.ask("workties", "sv.workty.refresh.all")
    worktys = [told["workty"] for told in client.taken("workties", "sv.workty.changed")]
    [workty] = [found["id"] for found in worktys if found["name"] == "with-delay"]
    workflow = asked(client, "sv.workflow.add", {"workflow": {"name": "nightly"}})
    for number, delay in enumerate(delays):
        about = {"id": workflow["id"], "worktyInstance": {"name": f"step {number}"}}
        added = asked(client, "sv.workflow.add.workty.instance", {"workflow": about, "workty": {"id": workty}})
        [entry] = added["worktyInstance"]["propertiesIds"]
        instance = {"id": added["worktyInstance"]["id"], "property": {"id": entry["id"], "value": delay}}
        changed = {"workflow": {"id": workflow["id"], "worktyInstance": instance}}
        workflow = asked(client, "sv.workflow.upd.workty.instance.property", changed)
    return workflow


def is_change_of_state(told: Any) -> bool:
    return told["err"] is None and "worktiesInstances" not in told["workflow"]


def until(client: LiveClient, state: str) -> list[Any]:
    """The changes of state of a run up to the first after which the run is in a state."""
    changes: list[Any] = []
    while not changes or changes[-1]["run"]["state"] != state:
        told = client.next("workflows", CHANGED, is_change_of_state)
        changes.append(told["workflow"])
    return changes


def test_a_workflow_is_built_run_and_seen_to_its_end_over_the_live_api(client: LiveClient) -> None:
    workflow = built(client, 0, 0.2, 0)
    assert [instance["state"] for instance in workflow["worktiesInstances"]] == ["initial"] * 3
    answer = asked(client, "sv.workflow.run", {"workflow": {"id": workflow["id"]}})
    assert (answer["id"], answer["run"]["finished"]) == (workflow["id"], None)
    changes = until(client, "completed")
    assert_legal(changes)
    assert [change["worktyInstance"]["state"] for change in changes] == ["waiting", "running", "completed"] * 3
    assert [change.get("workflowCompleted") for change in changes] == [None] * 8 + [True]
    ended = asked(client, "sv.workflow.refresh", {"workflow": {"id": workflow["id"]}})
    last = changes[-1]
    assert (ended["run"], ended["worktiesInstances"][-1]) == (last["run"], last["worktyInstance"])
    assert all(found["device"] is not None and found["progress"] == 1 for found in ended["worktiesInstances"])
    progress = client.taken("workflows", "sv.workflow.progress")
    assert {told["run"]["id"] for told in progress} <= {ended["run"]["id"]}


def test_a_workflow_pauses_resumes_and_stops_over_the_live_api(client: LiveClient) -> None:
    about = {"workflow": {"id": built(client, 60)["id"]}}
    asked(client, "sv.workflow.run", about)
    changes = until(client, "running")
    asked(client, "sv.workflow.pause", about)
    changes += until(client, "paused")
    assert asked(client, "sv.workflow.pause", about)["run"]["state"] == "paused"
    asked(client, "sv.workflow.resume", about)
    changes += until(client, "running")
    refused = client.ask("workflows", "sv.workflow.resume", about)["err"]
    assert refused["body"]["error"]["code"] == 9
    asked(client, "sv.workflow.stop", about)
    changes += until(client, "stopped")
    assert_legal(changes)
    assert "workflowCompleted" not in changes[-1]
    states = [instance["state"] for instance in asked(client, "sv.workflow.refresh", about)["worktiesInstances"]]
    assert states == ["stopped"]
