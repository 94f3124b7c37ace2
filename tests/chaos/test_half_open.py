"""A board whose connections to the broker are half-open for ever notices that by itself, and makes new ones."""

from __future__ import annotations

import pytest

from tests.chaos.private import PrivateStack
from tests.servers.proxy import Proxy

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_board_that_the_broker_has_forgotten_takes_its_next_step_without_losing_an_attempt(
    private: PrivateStack,
) -> None:
    with Proxy() as proxy:
        private.ways["forgotten"] = proxy.link("forgotten to the broker", private.broker.port)
        with (
            private.boards("forgotten", {"name": "forgotten", "slots": 2}),
            private.steps("forgotten", "forgotten") as steps,
        ):
            steps.begin("before")
            steps.until_holding()
            private.ways["forgotten"].black_hole(new=False)
            steps.begin("after")
            steps.ledger.release()
            steps.until_completed()
            steps.assert_ran_once()


def test_processes_of_the_server_that_the_broker_has_forgotten_hear_boards_and_each_other_again(
    private: PrivateStack,
) -> None:
    with Proxy() as proxy:
        try:
            for name in ("orchestrator", "api"):
                private.ways[name] = proxy.link(f"{name} to the broker", private.broker.port)
                private.stack.restart(name)
            with private.boards("heard", {"name": "heard", "slots": 2}), private.steps("heard", "heard") as steps:
                steps.begin("before")
                steps.until_holding()
                for name in ("orchestrator", "api"):
                    private.ways[name].black_hole(new=False)
                steps.begin("after")
                steps.ledger.release()
                steps.until_completed()
                steps.assert_ran_once()
                steps.begin("later")
                steps.user.until_run(steps.workflows[-1], "completed")
        finally:
            for name in ("orchestrator", "api"):
                private.ways.pop(name, None)
                private.stack.restart(name)
