"""Long outages of broker and database while twenty steps run: boards go on alone, and everything converges.

`WORKTY_CHAOS_OUTAGE_SECONDS` is how long the broker is away; the database is away for half of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.acceptance.user import User, assert_legal
from tests.chaos.held import Ledger, once
from tests.chaos.private import DEADLINE, PrivateStack, private_stack
from tests.servers import waiting
from tests.servers.ports import is_open
from tests.servers.waiting import Deadline

pytestmark = [pytest.mark.real, pytest.mark.slow]

OUTAGE_SECONDS = float(os.environ.get("WORKTY_CHAOS_OUTAGE_SECONDS", "20"))
BOARDS, SLOTS = 2, 10
STEPS = BOARDS * SLOTS
#: Seconds from the moment when the broker listens again until everything is recorded, and for an answer of the api.
RECORDED_WITHIN, ANSWERED_WITHIN = 10.0, 2.0


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateStack]:
    """A stack of its own with a slot for each step."""
    with private_stack(tmp_path_factory.mktemp("outages")) as found:
        for number in range(BOARDS):
            found.stack.add_board(f"board-{number}", slots=SLOTS, step_shared=str(found.shared))
        yield found


def test_steps_end_on_their_boards_while_the_broker_is_away_and_are_recorded_soon_after(private: PrivateStack) -> None:
    stack, ledger = private.stack, Ledger(private.shared, "without-broker")
    with closing(User(stack.url)) as user:
        workflows = running_steps(private, user, ledger)
        private.broker.kill9()
        outage = Deadline(OUTAGE_SECONDS)
        ledger.release()
        waiting.until(
            lambda: ledger.count("ending") == STEPS, seconds=DEADLINE, what="all steps to end alone", tail=stack.tails
        )
        assert private.count(workflows, state="running") == STEPS, "nothing of it can be recorded yet"
        assert_goes_on_waiting(outage)
        with ThreadPoolExecutor(1) as pool:
            restart = pool.submit(private.broker.restart)
            port = urlsplit(stack.vhost.amqp_url).port
            waiting.until(lambda: restart.done() or is_open(port or 0), seconds=DEADLINE, what="the broker to listen")
            returned = time.monotonic()
            until_completed(private, workflows)
            seconds = time.monotonic() - returned
            restart.result()
        print(f"broker away for {OUTAGE_SECONDS:g} s: {STEPS} steps recorded {seconds:.1f} s after its return")
        assert seconds < RECORDED_WITHIN
        assert_ran_once(private, user, workflows, ledger)


def test_the_api_says_503_at_once_while_the_database_is_away_and_everything_converges(private: PrivateStack) -> None:
    stack, ledger = private.stack, Ledger(private.shared, "without-database")
    with closing(User(stack.url)) as user:
        workflows = running_steps(private, user, ledger)
        private.mongod.kill9()
        outage = Deadline(OUTAGE_SECONDS / 2)
        ledger.release()
        answers = [ask(user, workflows[0])]
        while outage.left():
            answers.append(ask(user, workflows[len(answers) % STEPS]))
        waiting.until(
            lambda: ledger.count("ending") == STEPS, seconds=DEADLINE, what="all steps to end alone", tail=stack.tails
        )
        slowest = max(answer.elapsed.total_seconds() for answer in answers)
        print(f"database away for {OUTAGE_SECONDS / 2:g} s: {len(answers)} answers, the slowest after {slowest:.2f} s")
        assert {answer.status_code for answer in answers} == {503}
        assert slowest < ANSWERED_WITHIN
        private.mongod.restart()
        until_completed(private, workflows)
        assert_ran_once(private, user, workflows, ledger)


def running_steps(private: PrivateStack, user: User, ledger: Ledger) -> list[str]:
    """Begin a workflow of one step for each slot, and return them when all steps hold."""
    workflows = [user.workflow(("held", ledger.properties(f"step-{number}"))) for number in range(STEPS)]
    for workflow in workflows:
        user.run(workflow)
    waiting.until(
        lambda: ledger.count("holding") == STEPS and private.count(workflows, state="running") == STEPS,
        seconds=DEADLINE,
        what="all steps to hold",
        tail=private.stack.tails,
    )
    return workflows


def ask(user: User, workflow: str) -> requests.Response:
    """A request that needs the database."""
    return user.answer("GET", f"/workflows/{workflow}")


def until_completed(private: PrivateStack, workflows: list[str]) -> None:
    """Wait until all runs are recorded as completed."""
    waiting.until(
        lambda: private.count(workflows, state="completed") == STEPS,
        seconds=DEADLINE,
        what="all steps to be recorded",
        tail=private.stack.tails,
    )


def assert_goes_on_waiting(outage: Deadline) -> None:
    """Let the rest of an outage pass."""
    waiting.until(lambda: not outage.left(), seconds=outage.left() + DEADLINE, what="the end of the outage")


def assert_ran_once(private: PrivateStack, user: User, workflows: list[str], ledger: Ledger) -> None:
    """Each step had one attempt and entered each state once, and its user heard of it without gap."""
    assert [run["steps"][0]["attempt"] for run in private.runs(workflows)] == [1] * STEPS
    assert ledger.entered() == once(*(f"step-{number}" for number in range(STEPS)))
    for workflow in workflows:
        user.until_run(workflow, "completed")
        told = {change["run"]["seq"]: change for change in user.changes(workflow)}
        assert_legal([told[number] for number in sorted(told)])
