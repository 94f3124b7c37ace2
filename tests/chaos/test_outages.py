"""Long outages of broker and database while twenty steps run: boards go on alone, and everything converges.

`WORKTY_CHAOS_OUTAGE_SECONDS` is how long the broker is away; the database is away for half of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.chaos.held import DEADLINE, HeldSteps
from tests.chaos.private import PrivateStack
from tests.servers import waiting
from tests.servers.ports import is_open
from tests.servers.waiting import Deadline

pytestmark = [pytest.mark.real, pytest.mark.slow]

OUTAGE_SECONDS = float(os.environ.get("WORKTY_CHAOS_OUTAGE_SECONDS", "20"))
BOARDS, SLOTS = 2, 10
STEPS = BOARDS * SLOTS
#: Seconds from the moment when the broker listens again until everything is recorded, and for an answer of the api.
RECORDED_WITHIN, ANSWERED_WITHIN = 10.0, 2.0


@pytest.fixture(scope="module", autouse=True)
def boards(private: PrivateStack) -> Iterator[None]:
    """A slot for each step."""
    with private.boards("outage", *({"name": f"outage-{number}", "slots": SLOTS} for number in range(BOARDS))):
        yield


def test_steps_end_on_their_boards_while_the_broker_is_away_and_are_recorded_soon_after(private: PrivateStack) -> None:
    with private.steps("outage", "without-broker") as steps:
        begin_all(steps)
        private.broker.kill9()
        outage = Deadline(OUTAGE_SECONDS)
        until_all_end_alone(steps)
        assert steps.count(state="running") == STEPS, "nothing of it can be recorded yet"
        until_over(outage)
        with ThreadPoolExecutor(1) as pool:
            restart = pool.submit(private.broker.restart)
            port = urlsplit(private.stack.vhost.amqp_url).port or 0
            steps.until(lambda: restart.done() or is_open(port), "the broker to listen")
            returned = time.monotonic()
            steps.until_completed()
            seconds = time.monotonic() - returned
            restart.result()
        print(f"broker away for {OUTAGE_SECONDS:g} s: {STEPS} steps recorded {seconds:.1f} s after its return")
        assert seconds < RECORDED_WITHIN
        steps.assert_ran_once()


def test_the_api_says_503_at_once_while_the_database_is_away_and_everything_converges(private: PrivateStack) -> None:
    with private.steps("outage", "without-database") as steps:
        begin_all(steps)
        private.mongod.kill9()
        outage = Deadline(OUTAGE_SECONDS / 2)
        until_all_end_alone(steps)
        answers = []
        while not answers or outage.left():
            answers.append(steps.user.answer("GET", f"/workflows/{steps.workflows[len(answers) % STEPS]}"))
        private.mongod.restart()
        steps.until_completed()
        slowest = max(answer.elapsed.total_seconds() for answer in answers)
        print(f"database away for {OUTAGE_SECONDS / 2:g} s: {len(answers)} answers, the slowest after {slowest:.2f} s")
        assert {answer.status_code for answer in answers} == {503}
        assert slowest < ANSWERED_WITHIN
        steps.assert_ran_once()


def begin_all(steps: HeldSteps) -> None:
    """Begin a step for each slot, and return when all hold."""
    steps.begin(*(f"step-{number}" for number in range(STEPS)))
    steps.until_holding()


def until_all_end_alone(steps: HeldSteps) -> None:
    """Let all steps go on, and return when they have entered their last state."""
    steps.ledger.release()
    steps.until(lambda: steps.ledger.count("ending") == STEPS, "all steps to end alone")


def until_over(outage: Deadline) -> None:
    """Let the rest of an outage pass."""
    waiting.until(lambda: not outage.left(), seconds=outage.left() + DEADLINE, what="the end of the outage")
