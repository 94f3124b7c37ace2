"""A step that kills its board's agent, each time it runs, ends: it is not tried for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.catalogue import add_workty
from tests.acceptance.user import User
from tests.servers.stack import RealStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: Kills the agent that it finds above itself, after a checkpoint that the agent has stored.
ASSASSIN = """
import os, signal
from pathlib import Path
from workties import Workty

class Assassin(Workty):
    states = ("aiming", "killing")

    def on_enter_aiming(self):
        self.memory["tried"] = self.memory.get("tried", 0) + 1

    def on_enter_killing(self):
        self.await_stored()
        pid = os.getpid()
        while b"workty\\0agent" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(pid, signal.SIGKILL)
        self.wait(600)
"""


@pytest.fixture
def kept_up(real_stack: RealStack) -> Iterator[RealStack]:
    """The stack with one board, whose agent is started again whenever it dies, as systemd would."""
    real_stack.add_board("one", slots=1, step_host="1", heartbeat_seconds="1")
    ending = threading.Event()

    def keep_up() -> None:
        while not ending.wait(0.1):
            if not real_stack.processes["one"].alive:
                real_stack.launch("one")

    keeper = threading.Thread(target=keep_up)
    keeper.start()
    yield real_stack
    ending.set()
    keeper.join()


def test_a_step_that_kills_its_agent_fails_the_third_time(
    kept_up: RealStack, new_user: Callable[[str], User], database_url: str, tmp_path: Path
) -> None:
    user = new_user(kept_up.url)
    for name, more in (("resumes", ""), ("waits-for-its-board", "offline_grace = 300")):
        add_workty(database_url, tmp_path, name, ASSASSIN, more=more, access="host = true")
        workflow = user.workflow(name)
        user.run(workflow)
        last = user.until_run(workflow, "failed", "completed")
        instance: dict[str, Any] = last["worktyInstance"]
        assert (user.states(workflow), instance["attempt"]) == (["failed"], 3)
        assert instance["reason"]["code"] == "board-lost"
        assert "3 attempts in this run were lost with their boards" in instance["reason"]["message"]
    harmless = user.workflow("without-delay")
    user.run(harmless)
    user.until_run(harmless, "completed")
