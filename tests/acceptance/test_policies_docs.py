"""What docs/policies.md shows, letter by letter: its workflows end as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.client import Client, Run, Step, parse_definition
from tests.servers import waiting
from tests.servers.embedded import EmbeddedServer

pytestmark = pytest.mark.slow

TEXT = Path("docs/policies.md").read_text(encoding="utf-8")
PASSWORD = "only-for-trying"
SECONDS = 120.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """The runs of all workflows of the page, at once, when they have ended; by name."""
    directory = tmp_path_factory.mktemp("policies")
    with (
        EmbeddedServer(directory, {"WORKTY_ADMIN_PASSWORD": PASSWORD}) as server,
        Client.login(server.url, "supervisor@localhost", PASSWORD) as client,
    ):
        started = {}
        for text in re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL):
            definition = parse_definition(text)
            client.apply(definition)
            started[definition.name] = client.run(definition.name).id

        def ended() -> dict[str, Run] | None:
            found = {name: client.read_run(run) for name, run in started.items()}
            return found if all(run.ended for run in found.values()) else None

        yield waiting.until(ended, seconds=SECONDS, what="the ends of all runs", tail=server.process.tail)


def told(step: Step) -> tuple[str, str | None]:
    return step.state, step.reason.code if step.reason else None


def test_a_flaky_step_is_tried_until_it_works(runs: dict[str, Run]) -> None:
    assert (runs["flaky"].state, runs["flaky"].steps[0].state) == ("completed", "completed")


def test_a_failure_that_does_not_count_is_not_tried_again(runs: dict[str, Run]) -> None:
    [upload] = runs["picky"].steps
    assert (told(upload), upload.attempt) == (("failed", "exit"), 1)
    assert upload.reason is not None
    assert upload.reason.return_code == 65


def test_a_step_is_skipped_and_after_another_one_the_run_cleans_up_and_fails(runs: dict[str, Run]) -> None:
    assert runs["tidy"].state == "failed"
    states = {step.name: step.state for step in runs["tidy"].steps}
    assert states == {"tell": "failed", "work": "failed", "afterwards": "initial", "sweep": "completed"}


def test_a_step_that_takes_too_long_is_ended_and_tried_again(runs: dict[str, Run]) -> None:
    [wait] = runs["slow"].steps
    assert (runs["slow"].state, told(wait), wait.attempt) == ("failed", ("failed", "timeout"), 2)


def test_a_run_fails_at_its_deadline(runs: dict[str, Run]) -> None:
    [wait] = runs["bounded"].steps
    assert (runs["bounded"].state, told(wait)) == ("failed", ("failed", "deadline"))
