"""The main flows of the live API with socket.io-client 4 under node, which is what web pages use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.user import User
from tests.servers.web_client import WebClient

pytestmark = [pytest.mark.real, pytest.mark.slow]

CHANGED = "sv.workflow.changed"


@pytest.fixture(params=[("websocket",), ("polling", "websocket"), ("polling",)], ids="-".join)
def transports(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """How the client connects."""
    chosen: tuple[str, ...] = request.param
    return chosen


def test_a_workflow_is_made_run_and_watched_from_a_web_page(
    server_url: str, new_user: Any, transports: tuple[str, ...]
) -> None:
    user: User = new_user(server_url)
    with WebClient(server_url, user.ask("POST", "/tokens", {}), transports) as page:
        assert "opened" in page.open("workflows")
        assert page.next("workflows", "authenticated") is True
        assert page.next("workflows", "sv.workflow.initialized") == {}
        assert page.ask("workflows", "sv.workflow.add", {"workflow": {"name": "web"}, "requestId": "a"})["err"] is None
        workflow = page.next("workflows", CHANGED, lambda told: told.get("requestId") == "a")["workflow"]["id"]
        for number in range(2):
            added = {"workflow": {"id": workflow, "worktyInstance": {"name": f"step {number}"}}}
            added |= {"workty": {"id": user.workty("without-delay")}, "requestId": number}
            assert page.ask("workflows", "sv.workflow.add.workty.instance", added)["err"] is None
            told = page.next("workflows", CHANGED, lambda told, n=number: told.get("requestId") == n)["workflow"]
            assert told["worktyInstance"]["name"] == f"step {number}"
        assert page.ask("workflows", "sv.workflow.run", {"workflow": {"id": workflow}})["err"] is None
        last = page.next("workflows", CHANGED, lambda told: told["workflow"].get("workflowCompleted"))["workflow"]
        assert (last["run"]["state"], last["worktyInstance"]["state"]) == ("completed", "completed")
        follow = page.ask("workflows", "sv.workflow.follow", {"workflow": {"id": workflow}})
        assert follow["err"] is None
        snapshot = page.next("workflows", "sv.workflow.snapshot")
        assert snapshot["run"]["seq"] == last["run"]["seq"]
        assert [step["state"] for step in snapshot["workflow"]["worktiesInstances"]] == ["completed", "completed"]


def test_a_web_page_is_told_what_it_may_not_do(server_url: str, new_user: Any) -> None:
    user: User = new_user(server_url)
    with WebClient(server_url, user.ask("POST", "/tokens", {})) as page:
        refused = page.open("workflows", token="not-a-token")["why"]
        assert (refused["message"], refused["data"]["err"]["statusCode"]) == ("unauthorized", 401)
        assert "opened" in page.open("devices")
        answer = page.ask("devices", "sv.device.refresh.all", {"requestId": 1})
        assert (answer["err"]["body"]["error"]["code"], answer["requestId"]) == (13, 1)
        assert page.next("devices", "sv.device.changed")["err"]["body"]["error"]["code"] == 13
