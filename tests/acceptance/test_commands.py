"""Pause, resume and stop of real programs on boards that are processes of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from tests.acceptance.catalogue import upload_workty
from tests.acceptance.user import User, assert_legal
from tests.servers import waiting
from tests.servers.stack import ADMIN, RealStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: Counts how often it came to its first state; the first attempt then rests for as long as it may.
COUNTER = """
from workties import Workty

class Counter(Workty):
    states = ("counting", "resting")

    def on_enter_counting(self):
        self.memory["counted"] = self.memory.get("counted", 0) + 1

    def on_enter_resting(self):
        if self.attempt == 1:
            self.wait(600)
        self.output["counted"] = self.memory["counted"]
"""

#: Ends when it is asked to pause, and does not say that it paused: as a program does that knows no pause.
PLAIN = """
import os
print("started", flush=True)
os.read(int(os.environ["WORKTY_CONTROL_FD"]), 1000)
"""

#: Ignores a polite end, and so does what it started in a session of its own. Both are known by a mark.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", MARK], start_new_session=True)
time.sleep(600)
"""


@pytest.fixture
def user(lasting_stack: RealStack, new_user: Callable[[str], User]) -> User:
    return new_user(lasting_stack.url)


def test_a_run_that_is_stopped_before_its_board_accepts_it_ends_stopped(lasting_stack: RealStack, user: User) -> None:
    agents = [lasting_stack.processes[name] for name in ("board-1", "board-2")]
    workflow, before = user.workflow(("with-delay", {"delay": 600})), _busy(user)
    for agent in agents:
        agent.signal(SIGSTOP)
    try:
        user.run(workflow)
        user.stop(workflow)
        assert user.answer("PUT", f"/workflows/{workflow}/running").status_code == 409
        user.until_run(workflow, "stopping")
    finally:
        for agent in agents:
            agent.signal(SIGCONT)
    user.until_run(workflow, "stopped")
    assert user.states(workflow) == ["stopped"]
    assert_legal(user.changes(workflow))
    waiting.until(lambda: _busy(user) <= before, seconds=60, what="its slot to be free")


def test_a_paused_workty_goes_on_from_its_checkpoint(user: User, tmp_path: Path) -> None:
    upload_workty(user, tmp_path, name := f"counter-{secrets.token_hex(4)}", COUNTER)
    workflow, before = user.workflow(name), _busy(user)
    user.run(workflow)
    _until_in_state(user, workflow, "resting")
    user.pause(workflow)
    user.until_run(workflow, "paused")
    waiting.until(lambda: _busy(user) <= before, seconds=60, what="its slot to be free")
    user.run(workflow)
    last = user.until_run(workflow, "completed", "failed")
    (step,) = user.ask("GET", f"/runs/{last['run']['id']}")["steps"]
    assert (step["state"], step["attempt"], step["output"]) == ("completed", 2, {"counted": 1})
    assert_legal(user.changes(workflow))


def test_a_program_that_knows_no_pause_comes_to_its_end_and_the_next_step_is_paused(user: User, tmp_path: Path) -> None:
    upload_workty(user, tmp_path, name := f"plain-{secrets.token_hex(4)}", PLAIN)
    workflow = user.workflow(name, "without-delay")
    user.run(workflow)
    run = user.until_step(workflow, 0, "running")["run"]["id"]
    waiting.until(lambda: user.ask("GET", f"/runs/{run}/log"), seconds=120, what="the program to say something")
    user.pause(workflow)
    user.until_run(workflow, "paused")
    assert user.states(workflow) == ["completed", "paused"]
    user.run(workflow)
    user.until_run(workflow, "completed")
    changes = user.changes(workflow)
    assert_legal(changes)
    assert {change["worktyInstance"]["attempt"] for change in changes} <= {0, 1}


def test_a_program_that_ignores_a_stop_is_killed_with_everything_that_it_started(user: User, tmp_path: Path) -> None:
    mark = f"mark-{secrets.token_hex(8)}"
    code = STUBBORN.replace("MARK", repr(mark))
    upload_workty(user, tmp_path, name := f"stubborn-{secrets.token_hex(4)}", code, limits="grace = 1.0")
    workflow = user.workflow(name, "without-delay")
    user.run(workflow)
    waiting.until(lambda: _processes(mark), seconds=120, what="the step to start something")
    user.stop(workflow)
    user.until_run(workflow, "stopped")
    assert _processes(mark) == []
    assert user.states(workflow) == ["stopped", "initial"]
    assert_legal(user.changes(workflow))


def _until_in_state(user: User, workflow: str, state: str) -> None:
    """Wait until clients were told that the program is in a state of its own."""

    def told() -> bool:
        return any(made["worktyInstance"].get("worktyState") == state for made in user.progress(workflow))

    waiting.until(told, seconds=120, what=f"the state {state}")


def _busy(user: User) -> int:
    """Slots that are leased."""
    return sum(device["slotsBusy"] for device in user.ask("GET", "/devices", login=ADMIN))


def _processes(mark: str) -> list[str]:
    """Processes that were started with this among their arguments."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (place / "cmdline").read_bytes().split(b"\0"):
                found.append(place.name)
        except OSError:  # it has ended
            continue
    return found
