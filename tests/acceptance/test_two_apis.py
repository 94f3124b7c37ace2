"""Two api processes serve the same accounts: whoever is connected to either sees all of its own and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest

from api.client import Client, Connection, Event, LogLines, Progress
from tests.acceptance.test_client import changes, new_client, three_steps
from tests.acceptance.user import RUN_SECONDS, User, assert_legal
from tests.servers.balancer import Balancer
from tests.servers.stack import RealStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

USERS, RUNS = 10, 5
WATCHERS = 6


@pytest.mark.timeout(600)
def test_each_client_of_two_processes_sees_all_events_of_its_account_in_order(real_stack: RealStack) -> None:
    urls = [real_stack.url, real_stack.add_api()]
    for number in (1, 2):
        real_stack.add_board(f"board-{number}", slots=4)
    users = [User(urls[number % 2], urls[(number + number // 2) % 2]) for number in range(USERS)]
    try:
        workflows = {user: [user.workflow("without-delay", "without-delay") for _ in range(RUNS)] for user in users}
        for number in range(RUNS):
            for user in users:
                user.run(workflows[user][number])
        for user in users:
            for workflow in workflows[user]:
                ended = user.until_run(workflow, "completed", "failed")
                assert ended["run"]["reason"] is None
                assert_legal([change for change in user.changes(workflow) if "worktiesInstances" not in change])
            heard = {message["workflow"]["id"] for _, message in user.messages if "id" in message["workflow"]}
            assert heard == set(workflows[user])
    finally:
        for user in users:
            user.close()


def watch(client: Client, begun: Callable[[], object]) -> list[Event]:
    """Run a workflow and follow it to its end; `begun` is called when its first step gets on."""
    told: list[Event] = []
    with client.follow("nightly", logs=True) as events:
        client.run("nightly")
        for event in events:
            if isinstance(event, Progress) and not any(isinstance(before, Progress) for before in told):
                begun()
            told.append(event)
    return told


@pytest.mark.timeout(600)
def test_clients_of_a_killed_process_go_on_with_the_other_one_and_miss_nothing(real_stack: RealStack) -> None:
    urls = [real_stack.url, real_stack.add_api()]
    for number in (1, 2):
        real_stack.add_board(f"board-{number}", slots=3)
    all_begun = Barrier(WATCHERS + 1, timeout=RUN_SECONDS)
    with Balancer([int(url.rpartition(":")[2]) for url in urls]) as front, ExitStack() as on:
        clients = [on.enter_context(new_client(front.url)) for _ in range(WATCHERS)]
        for client in clients:
            client.apply(three_steps(3))
        with ThreadPoolExecutor(WATCHERS) as threads:
            watching = [threads.submit(watch, client, all_begun.wait) for client in clients]
            all_begun.wait()
            real_stack.power_cut("api-2")
            heard = [future.result(timeout=RUN_SECONDS) for future in watching]
    for told in heard:
        assert [change.seq for change in changes(told)] == list(range(1, len(changes(told)) + 1))
        assert changes(told)[-1].run_state == "completed"
        assert not any(change.snapshot for change in changes(told))
        lines = [event.seq for event in told if isinstance(event, LogLines)]
        assert lines == list(range(1, len(lines) + 1))
    cut_off = [told for told in heard if any(isinstance(event, Connection) and not event.live for event in told)]
    assert 0 < len(cut_off) < WATCHERS
