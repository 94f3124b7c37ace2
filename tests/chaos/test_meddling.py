"""What runs that are under way survive: messages that come twice, late, and in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from orchestrator.broker import DEAD_LETTERS_QUEUE
from tests.chaos.held import HeldSteps
from tests.chaos.meddling import Meddler, ReorderedEvents, RepeatedEvents, RepeatedOrders
from tests.chaos.private import PrivateStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

SLOTS = 2


@pytest.fixture(scope="module")
def meddler(private: PrivateStack) -> Iterator[Meddler]:
    """For the messages of one board."""
    with private.boards("meddling", {"name": "meddled", "slots": SLOTS}) as (board,):
        yield Meddler(private.stack.vhost, {board.id: board.amqp_url})


@pytest.mark.parametrize("kind", [RepeatedEvents, ReorderedEvents, RepeatedOrders])
@pytest.mark.timeout(600)
def test_runs_notice_nothing_of_messages_that_come_twice_late_or_in_another_order(
    private: PrivateStack, meddler: Meddler, kind: Callable[..., Any]
) -> None:
    dead = dead_letters(meddler)
    fault = kind(meddler, lambda seconds: live(steps, ends))
    for ends in (False, True):  # what comes again in the second round is of the first, too
        with private.steps("meddling", f"{kind.__name__}-{ends}") as steps:
            print(fault.strike(Random(1)))
            if not ends:
                steps.until_holding()  # and not where an earlier event says they are
                steps.ledger.release()
            steps.until_completed()
            steps.assert_ran_once()
    assert dead_letters(meddler) == dead


def live(steps: HeldSteps, ends: bool) -> None:
    """Have the board run a step on each slot until they hold, or until they have ended."""
    entries = [f"step-{number}" for number in range(SLOTS)]
    steps.begin(*entries)
    steps.until(lambda: steps.ledger.count("holding") == SLOTS, "steps to hold")
    if ends:
        steps.ledger.release()
        steps.until(lambda: steps.ledger.count("ending") == SLOTS, "steps to end")


def dead_letters(meddler: Meddler) -> int:
    """How many messages could not be used."""
    return int(meddler.insist(lambda channel: channel.queue_declare(DEAD_LETTERS_QUEUE, passive=True).message_count))
