"""What docs/passing-data.md shows, letter by letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.client import Client, Progress, StepChanged, parse_definition
from tests.servers.embedded import EmbeddedServer

pytestmark = pytest.mark.slow

TEXT = Path("docs/passing-data.md").read_text(encoding="utf-8")
PASSWORD = "only-for-trying"


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)
    return str(found)


def followed(client: Client, definition: str) -> tuple[list[StepChanged], list[str | None]]:
    """The changes of a run of the definition, and the states that its programs told."""
    client.apply(parse_definition(definition))
    with client.follow("passing-data") as events:
        client.run("passing-data")
        heard = list(events)
    states = [event.workty_state for event in heard if isinstance(event, Progress) and event.workty_state is not None]
    return [event for event in heard if isinstance(event, StepChanged)], states


def test_the_example_runs_and_a_wrong_key_gives_the_message_that_is_shown(tmp_path: Path) -> None:
    with (
        EmbeddedServer(tmp_path, {"WORKTY_ADMIN_PASSWORD": PASSWORD}) as server,
        Client.login(server.url, "supervisor@localhost", PASSWORD) as client,
    ):
        changes, states = followed(client, block("yaml"))
        assert changes[-1].run_state == "completed"
        assert states == ["preparing", "waiting", "finishing"] * 2
        changes, _ = followed(client, block("yaml").replace("delayed", "delyed"))
        reason = changes[-1].step.reason
        assert reason is not None
        assert (reason.code, reason.message) == ("property", block("text").strip())
