"""Real programs, watched until they have ended."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker_agent.orders import Orders, Stop
from worker_agent.outcome import Outcome
from worker_agent.process import Launch, StepProcess
from worker_agent.supervise import Supervisor
from worker_agent.warm import WarmStart
from workties.messages import Checkpoint, Limits, Reason

SPEAK = """
import json, os, sys, time
up = int(os.environ["WORKTY_EVENTS_FD"])
def say(**line):
    os.write(up, json.dumps(line).encode() + b"\\n")
"""


class Ears:
    """Remembers what a step does; `heard` is set at the first state."""

    def __init__(self) -> None:
        self.states: list[Checkpoint] = []
        self.told: list[tuple[float, str]] = []
        self.lines: list[tuple[str, str]] = []
        self.heard = threading.Event()

    def state(self, checkpoint: Checkpoint) -> None:
        self.states.append(checkpoint)
        self.heard.set()

    def progress(self, progress: float, message: str) -> None:
        self.told.append((progress, message))

    def line(self, stream: str, text: str) -> None:
        self.lines.append((stream, text))

    def tick(self) -> float | None:
        return None


class Stage:
    """Runs scripts as steps."""

    def __init__(self, directory: Path, warm: WarmStart) -> None:
        self.directory, self._warm = directory, warm
        self.ears = Ears()
        self.orders = Orders()

    def run(self, script: str, state: str = "", **limits: float) -> Outcome:
        (self.directory / "main.py").write_text(SPEAK + script)
        home = self.directory / "home"
        home.mkdir()
        found = Limits(**{"grace": 0.2, "wall": 20.0, **limits})  # type: ignore[arg-type]
        # Plain Python starts faster than a workty, and the agent does not care.
        launch = Launch(
            command=(sys.executable, "-I", "-S", str(self.directory / "main.py")),
            package=self.directory,
            home=home,
            input_file=self.directory / "input.json",
            limits=found,
        )
        process = StepProcess(launch, self._warm)
        try:
            return Supervisor(process, self.orders, self.ears, found, state=state).run()
        finally:
            process.close()

    def run_and_order(self, script: str, order: Callable[[Orders], None]) -> Outcome:
        """Give an order as soon as the script says that it is in a state."""

        def give() -> None:
            assert self.ears.heard.wait(10)
            order(self.orders)

        thread = threading.Thread(target=give)
        thread.start()
        try:
            return self.run(script)
        finally:
            thread.join()


@pytest.fixture
def stage(tmp_path: Path, warm: WarmStart) -> Iterator[Stage]:
    found = Stage(tmp_path, warm)
    yield found
    found.orders.close()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, or is about to: killed and not yet collected by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def assert_gone(pid: int) -> None:
    until = time.monotonic() + 2
    while not is_gone(pid):
        assert time.monotonic() < until, f"process {pid} is still there"
        os.sched_yield()


def code(outcome: Outcome) -> str | None:
    return outcome.reason.code if outcome.reason else None


def stop(orders: Orders, grace: float | None = None) -> None:
    orders.order_stop(Stop(Reason("stopped", "by user"), grace))


def test_exit_code_0_completes_with_output_and_usage(stage: Stage) -> None:
    outcome = stage.run(
        """
say(type="state", state="one", memory={"done": 1})
say(type="progress", progress=0.5, message="half")
say(type="output", output={"a": 1, "b": 1})
say(type="output", output={"b": 2})
say(type="log", text="a word")
print("hello")
"""
    )
    assert (code(outcome), outcome.output) == (None, {"a": 1, "b": 2})
    assert stage.ears.states == [Checkpoint("one", {"done": 1})]
    assert stage.ears.told == [(0.5, "half")]
    assert sorted(stage.ears.lines) == [("log", "a word"), ("stdout", "hello")]
    assert outcome.exit.usage.wall > 0
    assert outcome.exit.usage.cpu > 0
    assert outcome.exit.usage.memory > 1_000_000


def test_a_checkpoint_is_one_of_the_state_that_the_program_is_in(stage: Stage) -> None:
    outcome = stage.run(
        """
say(type="checkpoint", memory={"done": 2})
say(type="state", state="two")
say(type="checkpoint", memory={"done": 3})
""",
        state="one",
    )
    assert code(outcome) is None
    assert stage.ears.states == [Checkpoint("one", {"done": 2}), Checkpoint("two"), Checkpoint("two", {"done": 3})]


def test_a_checkpoint_of_no_state_fails_with_what_to_send_first(stage: Stage) -> None:
    outcome = stage.run("say(type='checkpoint')\ntime.sleep(60)")
    assert code(outcome) == "crash"
    assert outcome.reason
    assert 'checkpoint: expected a state before it; send {"type":"state"' in outcome.reason.message
    assert stage.ears.states == []


def test_another_exit_code_fails_and_keeps_the_last_lines(stage: Stage) -> None:
    outcome = stage.run("for n in range(100): print(n)\nsys.exit(3)")
    assert (code(outcome), outcome.exit.return_code) == ("exit", 3)
    assert outcome.last_output == tuple(str(n) for n in range(80, 100))


def test_a_crash_fails_with_its_traceback(stage: Stage) -> None:
    outcome = stage.run("raise RuntimeError('no such luck')")
    assert (code(outcome), outcome.exit.return_code) == ("exit", 1)
    assert outcome.last_output[-1] == "RuntimeError: no such luck"


def test_a_program_ended_by_a_signal_fails(stage: Stage) -> None:
    outcome = stage.run("os.kill(os.getpid(), 9)")
    assert (code(outcome), outcome.exit.return_code) == ("signal", -9)
    assert outcome.reason
    assert "SIGKILL" in outcome.reason.message


def test_a_program_may_run_as_long_as_a_manifest_can_say(stage: Stage) -> None:
    assert stage.run("print(1)", wall=30 * 86400.0).reason is None


def test_a_program_that_hangs_is_ended_at_its_limit(stage: Stage) -> None:
    outcome = stage.run("time.sleep(60)", wall=0.2)
    assert code(outcome) == "timeout"
    assert outcome.exit.usage.wall < 5


def test_megabytes_of_output_end_the_program(stage: Stage) -> None:
    outcome = stage.run("while True: print('x' * 1000)", output=100_000)
    assert code(outcome) == "output"
    assert sum(len(text) for _, text in stage.ears.lines) < 400_000


def test_output_within_the_limit_is_read_to_the_last_line(stage: Stage) -> None:
    outcome = stage.run("for n in range(20_000): print(n)\nsys.stdout.write('end')")
    assert code(outcome) is None
    assert len(stage.ears.lines) == 20_001
    assert outcome.last_output[-1] == "end"


def test_too_much_memory_fails_for_that_reason(stage: Stage) -> None:
    outcome = stage.run("time.sleep(0.05)\nx = bytearray(500_000_000)", memory=200_000_000)
    assert code(outcome) == "memory"


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b'{"type": "unknown"}',
        b'{"type": "state"}',
        b'{"type": "output", "output": {"x": "' + b"x" * 300_000 + b'"}}',
        b"x" * 600_000,
    ],
    ids=["no JSON", "unknown", "no state", "large output", "no end"],
)
def test_a_broken_protocol_line_fails_with_what_is_wrong(stage: Stage, line: bytes) -> None:
    outcome = stage.run(f"data = {line!r} + b'\\n'\nwhile data: data = data[os.write(up, data):]\ntime.sleep(60)")
    assert code(outcome) == "crash"
    assert outcome.reason
    assert "protocol" in outcome.reason.message


def test_a_stopped_program_may_tidy_up_first(stage: Stage) -> None:
    script = """
import signal
def tidy(*_):
    say(type="state", state="tidied", memory={})
    sys.exit(0)
signal.signal(signal.SIGTERM, tidy)
say(type="state", state="begun")
time.sleep(60)
"""
    outcome = stage.run_and_order(script, lambda orders: stop(orders, 10.0))
    assert (code(outcome), outcome.failed) == ("stopped", False)
    assert [found.state for found in stage.ears.states] == ["begun", "tidied"]


def test_a_program_that_ignores_a_stop_is_killed_after_the_grace(stage: Stage) -> None:
    script = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(type="state", state="begun")
time.sleep(60)
"""
    outcome = stage.run_and_order(script, lambda orders: stop(orders, 0.1))
    assert (code(outcome), outcome.exit.return_code) == ("stopped", -9)


@pytest.mark.parametrize("session", [False, True], ids=["same group", "other session"])
def test_everything_a_program_started_is_gone_when_it_has_ended(stage: Stage, session: bool) -> None:
    script = f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session={session})
say(type="output", output={{"child": child.pid}})
"""
    outcome = stage.run(script)
    assert code(outcome) is None
    assert_gone(outcome.output["child"])


def test_a_pause_reaches_the_program_and_its_checkpoint_stands(stage: Stage) -> None:
    script = """
say(type="state", state="begun", memory={"done": 7})
line = os.read(int(os.environ["WORKTY_CONTROL_FD"]), 100)
assert json.loads(line) == {"type": "pause"}
say(type="paused")
"""
    outcome = stage.run_and_order(script, Orders.order_pause)
    assert (code(outcome), outcome.failed) == ("paused", False)


def test_a_program_that_knows_no_pause_goes_on_to_its_end(stage: Stage) -> None:
    outcome = stage.run_and_order("say(type='state', state='begun')\ntime.sleep(0.1)", Orders.order_pause)
    assert code(outcome) is None


def test_a_program_that_pauses_unasked_has_completed(stage: Stage) -> None:
    assert code(stage.run("say(type='paused')")) is None


def test_an_order_given_before_the_start_counts(stage: Stage) -> None:
    stop(stage.orders, 0.0)
    assert code(stage.run("time.sleep(60)")) == "stopped"


def test_nothing_of_the_agent_is_inherited(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKTY_AMQP_URL", "amqp://me:secret@host")
    outcome = stage.run(
        """
fds = [int(n) for n in os.listdir("/proc/self/fd")]
say(type="output", output={"env": dict(os.environ), "fds": len(fds), "cwd": os.getcwd(), "stdin": sys.stdin.read()})
"""
    )
    environ = outcome.output["env"]
    assert not [name for name in environ if name.startswith("WORKTY_AMQP")]
    assert environ["HOME"] == environ["TMPDIR"] == str(stage.directory / "home")
    assert outcome.output["cwd"] == str(stage.directory)
    assert outcome.output["stdin"] == ""
    assert outcome.output["fds"] == 6  # stdin, stdout, stderr, events, control, and the folder it reads


def test_a_program_that_cannot_be_started_leaves_no_descriptors(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    launch = Launch(
        command=("/nowhere",), package=tmp_path, home=tmp_path, input_file=tmp_path / "input.json", limits=Limits()
    )
    with pytest.raises(FileNotFoundError):
        StepProcess(launch)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
