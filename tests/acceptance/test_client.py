"""The client for users' programs: follows runs on both stacks, and over the death of the api process."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.client import Client, Connection, Definition, Event, LogLines, Progress, StepChanged, StepDefinition
from tests.servers.stack import ADMIN, RealStack

pytestmark = [pytest.mark.real, pytest.mark.slow]


@contextmanager
def new_client(url: str) -> Iterator[Client]:
    """A client of a new account."""
    email, password = f"{secrets.token_hex(6)}@mail.com", secrets.token_urlsafe(12)
    with Client.login(url, *ADMIN) as admin:
        admin.rest.post("/accounts", {"name": "tester", "email": email, "password": password})
    with Client.login(url, email, password) as client:
        yield client


def three_steps(delay: float) -> Definition:
    steps = tuple(StepDefinition("with-delay", name, properties={"delay": delay}) for name in ("one", "two", "three"))
    return Definition("nightly", steps)


def changes(events: list[Event]) -> list[StepChanged]:
    return [event for event in events if isinstance(event, StepChanged)]


def test_every_change_and_progress_of_a_run_is_told_in_order(server_url: str) -> None:
    with new_client(server_url) as client:
        made = client.apply(three_steps(0.5))
        assert (made.created, client.apply(three_steps(0.5)).changed) == (True, False)
        with client.follow("nightly") as events:
            run = client.run("nightly")
            told = list(events)
        assert [change.seq for change in changes(told)] == list(range(1, len(changes(told)) + 1))
        assert {change.run for change in changes(told)} == {run.id}
        ends = [change.step.name for change in changes(told) if change.step.state == "completed"]
        assert ends == ["one", "two", "three"]
        assert any(isinstance(event, Progress) and 0 < event.progress < 1 for event in told)
        assert [found.state for found in client.runs(made.workflow)] == ["completed"]
        with client.follow(run) as events:
            assert changes(list(events)) == changes(told)


def test_a_run_that_is_under_way_is_followed_from_how_it_is(server_url: str) -> None:
    with new_client(server_url) as client:
        made = client.apply(three_steps(60))
        with client.follow(made.workflow) as events:
            client.run(made.workflow)
            first = next(event for event in events if isinstance(event, StepChanged) and event.step.state == "running")
        with client.follow(made.workflow) as events:
            stopped = False
            seen = []
            for event in events:
                if not stopped:
                    client.stop(made.workflow)
                    stopped = True
                seen.append(event)
        assert changes(seen)[-1].run == first.run
        assert changes(seen)[-1].run_state == "stopped"
        assert {change.step.name for change in changes(seen)} >= {"one"}


def test_what_steps_write_is_told_live_and_again_from_the_start(server_url: str) -> None:
    with new_client(server_url) as client:
        client.apply(Definition("broken", (StepDefinition("with-delay", "bad", properties={"delay": -1}),)))
        with client.follow("broken", logs=True) as events:
            run = client.run("broken")
            live = [event for event in events if isinstance(event, LogLines)]
        assert {entry.step_name for entry in live} == {"bad"}
        assert "ValueError: property 'delay'" in "\n".join(line.text for entry in live for line in entry.lines)
        assert [entry.seq for entry in live] == list(range(1, len(live) + 1))
        assert list(client.log(run)) == live
        with client.follow(run, logs=True) as events:
            assert [event for event in events if isinstance(event, LogLines)] == live


def test_a_run_is_followed_over_the_death_of_the_api_process(real_stack: RealStack) -> None:
    real_stack.add_board("board-1", slots=1)
    with new_client(real_stack.url) as client:
        made = client.apply(three_steps(2))
        told: list[Event] = []
        killed = False
        with client.follow(made.workflow) as events:
            client.run(made.workflow)
            for event in events:
                told.append(event)
                if not killed and isinstance(event, Progress):
                    real_stack.power_cut("api")
                    real_stack.restart("api")
                    killed = True
        connection = [event.live for event in told if isinstance(event, Connection)]
        assert connection[:2] == [False, True]
        assert changes(told)[-1].run_state == "completed"
        last = {change.step.name: change.step.state for change in changes(told)}
        assert last == {"one": "completed", "two": "completed", "three": "completed"}
        assert [change.seq for change in changes(told)] == list(range(1, len(changes(told)) + 1))
        assert not any(change.snapshot for change in changes(told))
