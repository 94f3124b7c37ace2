"""Boards on the in-memory broker, from an assignment to the last event."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from worker_agent.agent import SimulatedBoards
from worker_agent.errors import StateDirInUse
from workties.builtin import builtin_packages
from workties.package import pack
from workties.parsing import parse_event

Start = Callable[..., SimulatedBoards]
CONFTEST = Path(__file__).with_name("conftest.py")


def builtin(name: str) -> bytes:
    return next(found.data for found in builtin_packages() if found.manifest.name == name)


def delay(seconds: float) -> list[dict[str, Any]]:
    return [{"id": "p", "name": "delay", "value": seconds}]


@pytest.fixture
def plain(tmp_path: Path) -> Callable[[str], bytes]:
    """Makes a package of one plain Python file."""

    def make(script: str) -> bytes:
        folder = tmp_path / "script"
        folder.mkdir(exist_ok=True)
        (folder / "main.py").write_text(script)
        return pack(folder)

    return make


def states(events: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(event["state"] for event in events if event["kind"] == "state"))


def in_state(assignment: dict[str, Any], state: str) -> Callable[[dict[str, Any]], bool]:
    names = ("instance", "attempt")
    return lambda event: event.get("state") == state and all(event[name] == assignment[name] for name in names)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; its parent may not have collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def assert_gone(pid: int) -> None:
    until = time.monotonic() + 10
    while not is_gone(pid):
        assert time.monotonic() < until, f"process {pid} is still there"
        os.sched_yield()


def test_a_step_runs_from_its_assignment_to_completed(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    sent = server.assign("board-01", builtin("with-delay"), properties=delay(0.3))
    final = server.hear_final(sent)
    assert final["kind"] == "completed", final
    assert final["output"] == {"delayed": 0.3}
    assert server.authors == {"board-01"}
    events = server.events(sent)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert states(events) == ["running", "preparing", "waiting", "finishing"]
    for event in server.heard:
        parse_event(event)


def test_a_node_workty_runs_as_a_python_one_does(server: Any, start: Start) -> None:
    assert shutil.which("node"), "this test needs Node; install nodejs"
    start(server.settings("board-01"))
    package = next(found for found in builtin_packages() if found.manifest.name == "with-delay-node")
    workty = {"id": "w", "name": "n", "version": "1", "language": "nodejs", "entry": package.info.entry}
    sent = server.assign("board-01", package.data, properties=delay(0.1), workty=workty)
    assert server.hear_final(sent)["kind"] == "completed"


def test_a_script_need_not_be_a_program_in_its_zip_and_its_checkpoint_is_of_the_last_state_that_it_told(
    server: Any, start: Start, plain: Callable[[str], bytes]
) -> None:
    start(server.settings("board-01"))
    script = """#!/bin/sh
echo '{"type":"checkpoint","memory":{"line":2}}' >"/dev/fd/$WORKTY_EVENTS_FD"
"""
    workty = {"id": "w", "name": "n", "version": "1", "language": "executable", "entry": "main.py"}
    sent = server.assign("board-01", plain(script), workty=workty, checkpoint={"state": "reading", "memory": {}})
    final = server.hear_final(sent)
    assert final["kind"] == "completed", final
    told = [event["checkpoint"] for event in server.events(sent) if event["kind"] == "state"]
    assert told[-1] == {"state": "reading", "memory": {"line": 2}}


def test_a_step_asks_for_a_reboot_once_its_checkpoint_is_stored(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    given = [{"id": name, "name": name, "value": value} for name, value in {"command": ["true"], "timeout": 0}.items()]
    sent = server.assign("board-01", builtin("reboot-board"), properties=given)
    final = server.hear_final(sent)
    assert "Board 'board-01' was asked to reboot and still runs 0 s later" in final["lastOutput"][-1]
    assert states(server.events(sent)) == ["running", "asking", "rebooting"]


def test_a_failed_program_is_told_with_its_last_words(server: Any, start: Start, plain: Callable[[str], bytes]) -> None:
    start(server.settings("board-01"))
    sent = server.assign("board-01", plain("print('so far')\nraise SystemExit(3)"))
    final = server.hear_final(sent)
    assert (final["kind"], final["reason"]["code"], final["returnCode"]) == ("failed", "exit", 3)
    assert final["lastOutput"] == ["so far"]
    log = next(event for event in server.events(sent) if event["kind"] == "log")
    assert [(line["stream"], line["text"]) for line in log["lines"]] == [("stdout", "so far")]


@pytest.mark.parametrize("problem", ["no code", "wrong digest", "no such entry", "outside", "no zip"])
def test_a_package_that_cannot_run_fails_the_step(
    server: Any, start: Start, plain: Callable[[str], bytes], problem: str
) -> None:
    start(server.settings("board-01"))
    workty = {"id": "w", "name": "n", "version": "1", "language": "python", "entry": "main.py"}
    offered = server.packages.offer(plain("pass"))
    changes: dict[str, dict[str, Any]] = {
        "no code": {"package": None},
        "wrong digest": {"package": {**offered, "sha256": "0" * 64}},
        "no such entry": {"workty": {**workty, "entry": "other.py"}},
        "outside": {"workty": {**workty, "entry": "../input.json"}},
        "no zip": {"package": server.packages.offer(b"no zip")},
    }
    sent = server.assign("board-01", plain("pass"), **changes[problem])
    final = server.hear_final(sent)
    assert (final["kind"], final["reason"]["code"]) == ("failed", "package")
    assert states(server.events(sent)) == ["running"]


def test_a_language_that_the_board_lacks_is_refused(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    workty = {"id": "w", "name": "n", "version": "1", "language": "cobol", "entry": "main.cob"}
    final = server.hear_final(server.assign("board-01", b"", workty=workty))
    assert (final["kind"], final["reason"]["code"]) == ("refused", "no-runtime")


def test_a_message_that_makes_no_sense_is_refused_and_the_board_goes_on(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    broken = server.assign("board-01", b"", limits={"wall": "long"})
    final = server.hear_final(broken)
    assert (final["kind"], final["reason"]["code"]) == ("refused", "bad-message")
    assert "wall" in final["reason"]["message"]
    server.deliver("board-01", "nonsense")
    server.order("board-01", "dance", broken)
    assert server.hear_final(server.assign("board-01", builtin("without-delay")))["kind"] == "completed"


def test_a_second_delivery_is_answered_and_not_run_again(
    server: Any, start: Start, plain: Callable[[str], bytes], tmp_path: Path
) -> None:
    start(server.settings("board-01"))
    sent = server.assign("board-01", plain(f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"))
    final = server.hear_final(sent)
    server.heard.clear()
    server.deliver("board-01", sent)
    assert server.hear_final(sent) == final
    assert (tmp_path / "runs").read_text() == "x"


def test_a_stopped_step_resumes_from_its_checkpoint(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    sent = server.assign("board-01", builtin("with-delay"), properties=delay(60))
    server.hear(in_state(sent, "waiting"))
    server.order("board-01", "stop", sent, reason="by user", grace=0)
    final = server.hear_final(sent)
    assert (final["kind"], final["reason"]) == ("interrupted", {"code": "stopped", "message": "by user"})
    checkpoint = final["checkpoint"]
    assert checkpoint["state"] == "waiting"
    checkpoint["memory"]["done"] = 59.9
    again = server.assign(
        "board-01", builtin("with-delay"), properties=delay(60), instance=sent["instance"], attempt=2,
        checkpoint=checkpoint,
    )  # fmt: skip
    assert server.hear_final(again)["kind"] == "completed"
    assert states(server.events(again)) == ["running", "waiting", "finishing"]


def test_a_paused_step_ends_with_its_checkpoint(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    sent = server.assign("board-01", builtin("with-delay"), properties=delay(60))
    server.hear(in_state(sent, "waiting"))
    server.order("board-01", "pause", sent)
    final = server.hear_final(sent)
    assert (final["kind"], final["reason"]["code"]) == ("interrupted", "paused")
    assert final["checkpoint"]["state"] == "waiting"


@pytest.mark.parametrize(("command", "code"), [("stop", "stopped"), ("pause", "paused")])
def test_an_order_for_an_unknown_attempt_is_answered_and_it_does_not_begin_later(
    server: Any, start: Start, plain: Callable[[str], bytes], command: str, code: str
) -> None:
    start(server.settings("board-01"))
    unknown = {"run": "run-1", "instance": "never-seen", "attempt": 1}
    server.order("board-01", command, unknown)
    final = server.hear_final(unknown)
    assert (final["kind"], final["reason"]["code"], final["seq"]) == ("interrupted", code, 1)
    server.heard.clear()
    server.assign("board-01", plain("pass"), instance="never-seen")
    assert server.hear_final(unknown) == final


@pytest.mark.parametrize("command", ["stop", "pause"])
def test_an_order_for_a_step_that_has_ended_is_answered_with_its_end(server: Any, start: Start, command: str) -> None:
    start(server.settings("board-01"))
    sent = server.assign("board-01", builtin("without-delay"))
    final = server.hear_final(sent)
    assert final["kind"] == "completed"
    server.heard.clear()
    server.order("board-01", command, sent)
    assert server.hear_final(sent) == final


def test_a_waiting_step_is_paused_at_once(server: Any, start: Start) -> None:
    start(server.settings("board-01", slots=1))
    busy = server.assign("board-01", builtin("with-delay"), properties=delay(60))
    server.hear(in_state(busy, "waiting"))
    waiting = server.assign("board-01", builtin("with-delay"))
    server.order("board-01", "pause", waiting)
    assert server.hear_final(waiting)["reason"]["code"] == "paused"
    assert "running" not in states(server.events(waiting))


def test_a_step_whose_package_cannot_be_fetched_yet_is_paused_at_once(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    server.packages.close()
    sent = server.assign("board-01", builtin("with-delay"), checkpoint={"state": "waiting", "memory": {}})
    server.hear(in_state(sent, "running"))
    server.order("board-01", "pause", sent)
    final = server.hear_final(sent)
    assert (final["kind"], final["reason"]["code"], final["checkpoint"]["state"]) == (
        "interrupted", "paused", "waiting",
    )  # fmt: skip


def test_a_board_takes_twice_its_slots_and_runs_what_waits_when_a_slot_is_free(server: Any, start: Start) -> None:
    start(server.settings("board-01", slots=1))
    first = server.assign("board-01", builtin("with-delay"), properties=delay(60))
    second = server.assign("board-01", builtin("without-delay"))
    third = server.assign("board-01", builtin("without-delay"))
    assert server.hear_final(third)["reason"]["code"] == "no-slot"
    server.order("board-01", "stop", first, grace=0)
    assert server.hear_final(second)["kind"] == "completed"


def test_a_forgotten_step_is_killed_without_a_word(server: Any, start: Start, plain: Callable[[str], bytes]) -> None:
    start(server.settings("board-01"))
    script = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    sent = server.assign("board-01", plain(script))
    log = server.hear(lambda event: event["kind"] == "log")
    server.order("board-01", "forget", sent)
    assert_gone(int(log["lines"][0]["text"]))
    server.heard.clear()
    server.hear(lambda event: event["kind"] == "heartbeat" and not event["active"])
    assert server.events(sent) == []


def test_a_newer_attempt_takes_the_place_of_a_running_one(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    old = server.assign("board-01", builtin("with-delay"), properties=delay(60))
    server.hear(in_state(old, "waiting"))
    new = server.assign("board-01", builtin("without-delay"), instance=old["instance"], attempt=2)
    assert server.hear_final(new)["kind"] == "completed"
    order = [(event["kind"], event["attempt"]) for event in server.heard if event.get("instance") == old["instance"]]
    began = next(i for i, event in enumerate(server.heard) if in_state(new, "running")(event))
    ended = server.heard.index(server.hear_final(old))
    assert ended < began, order
    assert server.hear_final(old)["reason"]["code"] == "stopped"


def test_progress_is_told_five_times_a_second_at_most(server: Any, start: Start, plain: Callable[[str], bytes]) -> None:
    start(server.settings("board-01"))
    script = """
import json, os, time
up, began = int(os.environ["WORKTY_EVENTS_FD"]), time.monotonic()
while (now := time.monotonic() - began) < 1:
    os.write(up, json.dumps({"type": "progress", "progress": now}).encode() + b"\\n")
os.write(up, json.dumps({"type": "progress", "progress": 1}).encode() + b"\\n")
"""
    sent = server.assign("board-01", plain(script))
    assert server.hear_final(sent)["kind"] == "completed"
    told = [event["progress"] for event in server.events(sent) if event["kind"] == "progress"]
    assert 4 <= len(told) <= 7
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_boards_of_one_process_run_their_own_steps(server: Any, start: Start) -> None:
    names = ["board-01", "board-02", "board-03"]
    start(*[server.settings(name) for name in names])
    sent = [server.assign(name, builtin("without-delay")) for name in names for _ in range(2)]
    for assignment in sent:
        final = server.hear_final(assignment)
        assert (final["kind"], final["board"]) == ("completed", assignment["board"])


def test_a_stopped_agent_interrupts_its_steps_and_says_goodbye(server: Any, start: Start) -> None:
    boards = SimulatedBoards([server.settings("board-01", slots=1)])
    assert boards.start()
    running = server.assign("board-01", builtin("with-delay"), properties=delay(60))
    server.hear(in_state(running, "waiting"))
    waiting = server.assign("board-01", builtin("with-delay"))
    server.hear(lambda event: event["kind"] == "accepted" and event["instance"] == waiting["instance"])
    boards.stop()
    farewell = server.hear(lambda event: event["kind"] == "bye")
    assert (farewell["active"], farewell["queued"]) == ([], 0)
    assert server.heard[-1] == farewell
    assert server.hear_final(running)["reason"]["code"] == "agent-stop"
    assert server.hear_final(running)["checkpoint"]["state"] == "waiting"
    assert server.hear_final(waiting)["reason"]["code"] == "agent-stop"


def test_a_board_that_leaves_sends_no_heartbeat_from_the_first_step_that_ends_for_it(
    server: Any, start: Start, plain: Callable[[str], bytes]
) -> None:
    boards = SimulatedBoards([server.settings("board-01", heartbeat_seconds=0.1)])
    assert boards.start()
    slow = """
import json, os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.7), sys.exit(0)))
os.write(int(os.environ["WORKTY_EVENTS_FD"]), json.dumps({"type": "state", "state": "slow"}).encode() + b"\\n")
time.sleep(60)
"""
    leaving = [server.assign("board-01", builtin("with-delay"), properties=delay(60))]
    server.hear(in_state(leaving[0], "waiting"))
    leaving.append(server.assign("board-01", plain(slow)))
    server.hear(in_state(leaving[1], "slow"))
    boards.stop()
    server.hear(lambda event: event["kind"] == "bye")
    kinds = [event["kind"] for event in server.heard]
    ended = kinds[kinds.index("interrupted") :]
    assert [kind for kind in ended if kind != "log"] == ["interrupted", "interrupted", "bye"]


class Heard(logging.Handler):
    """Waits for words in the agent's log."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words, self._heard = words, threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self._heard.set()

    def __enter__(self) -> Heard:
        logging.getLogger("worker_agent").addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger("worker_agent").removeHandler(self)

    def wait(self) -> None:
        assert self._heard.wait(20), f"nobody said {self._words!r}"


def test_on_a_full_disk_steps_wait_nothing_is_lost_and_the_board_goes_on_when_there_is_room(
    server: Any, start: Start, plain: Callable[[str], bytes], tmp_path: Path
) -> None:
    settings = server.settings("board-01")
    start(settings)
    end = tmp_path / "end"
    script = f"""
import json, os, time
while not os.path.exists({str(end)!r}):
    os.write(int(os.environ["WORKTY_EVENTS_FD"]), json.dumps({{"type": "state", "state": "turning"}}).encode() + b"\\n")
    time.sleep(0.01)
"""
    running = server.assign("board-01", plain(script))
    server.hear(in_state(running, "turning"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (settings.state_dir / "journal.db-wal").stat().st_size
    with Heard("State 'turning' is not stored") as not_stored, Heard("An assignment was not taken") as not_taken:
        # As on a disk without room, files cannot grow.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            not_stored.wait()
            late = server.assign("board-01", builtin("without-delay"))
            not_taken.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    end.touch()
    assert server.hear_final(running)["kind"] == "completed"
    assert server.events(late) == []
    server.deliver("board-01", late)
    assert server.hear_final(late)["kind"] == "completed"


def test_a_workty_that_asks_for_the_board_itself_fails_where_this_is_not_granted(server: Any, start: Start) -> None:
    start(server.settings("board-01"))
    final = server.hear_final(server.assign("board-01", builtin("without-delay"), access={"host": True}))
    assert (final["kind"], final["reason"]["code"]) == ("failed", "package")
    assert "WORKTY_STEP_HOST" in final["reason"]["message"]


def test_a_board_whose_journal_is_damaged_begins_a_new_one_and_takes_work(server: Any, start: Start) -> None:
    settings = server.settings("board-01")
    left = settings.state_dir / "steps" / "lost"
    left.mkdir(parents=True)
    (settings.state_dir / "journal.db").write_bytes(b"no database" * 100)
    start(settings)
    assert not left.exists()
    assert server.hear_final(server.assign("board-01", builtin("without-delay")))["kind"] == "completed"


def test_two_agents_may_not_share_a_state_directory(server: Any, start: Start) -> None:
    settings = server.settings("board-01")
    start(settings)
    with pytest.raises(StateDirInUse, match="WORKTY_STATE_DIR"):
        SimulatedBoards([settings])


LIFE = f"""
import os, runpy, signal, sys
from pathlib import Path
from worker_agent.agent import SimulatedBoards
from workties.package import pack
found = runpy.run_path({str(CONFTEST)!r})
server = found["Server"](found["PackageServer"](), Path(sys.argv[1]))
SimulatedBoards([server.settings("board-01", slots=1)]).start()
sent = server.assign("board-01", pack(Path(sys.argv[2])), instance="cut-short")
server.hear(lambda event: event.get("state") == "copying")
waiting = server.assign("board-01", pack(Path(sys.argv[3])), instance="waiting")
server.hear(lambda event: event["kind"] == "accepted" and event["instance"] == "waiting")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_power_cut_leftovers_are_killed_and_told_and_what_waited_runs(
    server: Any, start: Start, tmp_path: Path
) -> None:
    for name, script in {
        "long": """
import json, os, subprocess, time
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
line = {"type": "state", "state": "copying", "memory": {"pids": [os.getpid(), child.pid]}}
os.write(int(os.environ["WORKTY_EVENTS_FD"]), json.dumps(line).encode() + b"\\n")
time.sleep(60)
""",
        "short": "",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text(script)
    arguments = [str(tmp_path), str(tmp_path / "long"), str(tmp_path / "short")]
    life = subprocess.run(
        [sys.executable, "-c", LIFE, *arguments], timeout=60, check=False, cwd=Path(__file__).parents[3]
    )
    assert life.returncode == -signal.SIGKILL
    server.packages.offer(pack(tmp_path / "short"))
    start(server.settings("board-01", slots=1))
    final = server.hear_final({"run": "run-1", "instance": "cut-short", "attempt": 1})
    assert (final["kind"], final["reason"]["code"]) == ("interrupted", "reboot")
    assert final["checkpoint"]["state"] == "copying"
    for pid in final["checkpoint"]["memory"]["pids"]:
        assert_gone(pid)
    waited = {"run": "run-1", "instance": "waiting", "attempt": 1}
    # Its package was offered by a server that is no more, which is told; it did begin.
    assert server.hear_final(waited)["reason"]["code"] == "package"
    assert states(server.events(waited)) == ["running"]
