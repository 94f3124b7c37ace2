"""Workties in Python that are forked from a warm interpreter behave as if started by themselves."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from worker_agent.isolation import Isolation
from worker_agent.process import Launch, StepProcess
from worker_agent.settings import IsolationSettings
from worker_agent.warm import WarmStart
from workties.messages import Limits

Start = Callable[[Launch], StepProcess]
Run = Callable[..., tuple[int, str, str, str]]


def launch_of(directory: Path, script: str) -> Launch:
    for name in ("package", "home"):
        (directory / name).mkdir(exist_ok=True, parents=True)
    entry = directory / "package" / "main.py"
    entry.write_text(script)
    (directory / "input.json").write_text('{"properties": {}}')
    return Launch(
        command=(sys.executable, "-P", "-m", "workties.launch", str(entry)),
        package=entry.parent,
        home=directory / "home",
        input_file=directory / "input.json",
        limits=Limits(),
    )


def outcome(process: StepProcess) -> tuple[int, str, str, str]:
    """Exit code, and what came on stdout, stderr and the channel."""
    try:
        code = process.reap().return_code
        out, err, events = (read(fd) for fd in (process.stdout, process.stderr, process.events))
        return code, out, err, events
    finally:
        process.close()


def read(fd: int) -> str:
    try:
        return os.read(fd, 100_000).decode()
    except BlockingIOError:
        return ""


@pytest.fixture(params=["warm", "plain"])
def run(request: pytest.FixtureRequest, tmp_path: Path, warm: WarmStart) -> Run:
    """Runs a script in a warm interpreter, and as a process of its own."""
    return lambda script: outcome(StepProcess(launch_of(tmp_path, script), warm if request.param == "warm" else None))


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("", 0, ""),
        ("raise SystemExit(7)", 7, ""),
        ("import sys\nsys.exit('why not')", 1, "why not\n"),
        ("import os\nos._exit(3)", 3, ""),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT, "KeyboardInterrupt\n"),
        ("def f():\n    raise KeyError('here')\nf()", 1, "in f\n    raise KeyError('here')\nKeyError: 'here'\n"),
    ],
    ids=["end", "exit code", "exit message", "hard exit", "signal", "interrupt", "traceback"],
)
def test_a_program_ends_as_it_would_by_itself(run: Run, script: str, code: int, words: str) -> None:
    found = run(script)
    assert found[0] == code
    assert found[2].endswith(words)
    assert bool(found[2]) == bool(words)


def test_threads_exit_functions_and_open_files_are_ended_properly(run: Run, tmp_path: Path) -> None:
    script = """
import atexit, threading, time
def late():
    time.sleep(0.05)
    print("thread")
class Last:
    def __del__(self):
        print("last")
file = open("FOLDER/home/written", "w")
file.write("all of it")
kept = Last()
kept.itself = [kept]
atexit.register(print, "exit function")
threading.Thread(target=late).start()
print("end")
""".replace("FOLDER", str(tmp_path))
    assert run(script) == (0, "end\nthread\nexit function\nlast\n", "", "")
    assert (tmp_path / "home" / "written").read_text() == "all of it"


def test_a_program_finds_what_a_started_one_finds(tmp_path: Path, warm: WarmStart) -> None:
    script = """
import json, os, sys
import __main__
names = ("HOME", "PATH", "LANG", "PWD", "TMPDIR", "WORKTY_INPUT", "WORKTY_EVENTS_FD", "WORKTY_CONTROL_FD", "PYTHONPATH")
print(json.dumps([sys.argv, sys.path, sys.flags.safe_path, dict(os.environ), __name__, __main__.__file__, os.getcwd(),
    sorted(os.listdir("/proc/self/fd")), sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering,
    sys.stdin.read(), os.getsid(0) == os.getpid(), "worker_agent" in os.environ.get("HOME")]))
"""
    found = [outcome(StepProcess(launch_of(tmp_path, script), way)) for way in (warm, None)]
    assert found[0] == found[1]
    assert found[0][0] == 0


def test_steps_of_one_interpreter_share_no_chance(tmp_path: Path, warm: WarmStart) -> None:
    script = "import random\nprint(random.random())"
    found = {outcome(StepProcess(launch_of(tmp_path, script), warm))[1] for _ in range(3)}
    assert len(found) == 3


def test_the_interpreter_knows_nothing_of_the_agents_environment(
    tmp_path: Path, warm: WarmStart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKTY_AMQP_URL", "amqp://me:secret@host")
    warm.discard()
    script = """
import os
parents = []
pid = os.getpid()
while "python" in open(f"/proc/{pid}/cmdline").read() and len(parents) < 3:
    parents.append(open(f"/proc/{pid}/environ").read())
    pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
print(len(parents), "secret" in str(parents) or "AMQP" in str(parents))
"""
    assert outcome(StepProcess(launch_of(tmp_path, script), warm))[1] == "3 False\n"


FIND = "import os\nzygote = int(open('/proc/%d/stat' % os.getppid()).read().rpartition(')')[2].split()[1])\n"


@pytest.fixture
def isolation(tmp_path: Path) -> Iterator[Isolation]:
    """A board without a sandbox whose patience is short."""
    warm = WarmStart()
    settings = IsolationSettings(sandbox="none", step_account=os.getuid())
    found = Isolation(settings, 1, tmp_path / "steps", warm, start_seconds=1.0)
    yield found
    found.close()
    warm.close()


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSTOP"])
def test_a_step_starts_although_the_interpreter_is_gone_or_hangs(
    isolation: Isolation, tmp_path: Path, number: str
) -> None:
    harm = f"{FIND}import signal\nos.kill(zygote, signal.{number})\nprint('done')"
    assert outcome(isolation.start(launch_of(tmp_path, harm)))[:2] == (0, "done\n")
    assert outcome(isolation.start(launch_of(tmp_path, "print('goes on')")))[:2] == (0, "goes on\n")


def test_a_workty_reports_from_a_warm_interpreter(run: Run) -> None:
    script = "from workties import Workty\nclass Two(Workty):\n    states = ('one', 'two')\n"
    code, _, err, events = run(script)
    assert (code, err) == (0, "")
    assert [line.split('"')[7] for line in events.splitlines()] == ["one", "two"]


def test_a_guardian_that_hangs_is_given_up(tmp_path: Path, warm: WarmStart) -> None:
    script = "import os, time\ntime.sleep(0.5)\nos.kill(os.getppid(), 19)\nprint('hangs')\ntime.sleep(600)"  # SIGSTOP
    process = StepProcess(launch_of(tmp_path, script), warm)
    assert select.select([process.stdout], [], [], 60)[0]
    process.kill()
    process.abandon()
    found: Any = process.reap()
    process.close()
    assert (found.return_code, found.watched) == (-signal.SIGKILL, False)
