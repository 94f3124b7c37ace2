"""Two api processes serve the same accounts: whoever is connected to either sees all of its own and nothing else."""

from __future__ import annotations

import pytest

from tests.acceptance.user import User, assert_legal
from tests.servers.stack import RealStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

USERS, RUNS = 10, 5


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
