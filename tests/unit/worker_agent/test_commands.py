"""Commands of languages, and real programs that they start under the limits of a step."""

from __future__ import annotations

import platform
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from worker_agent.commands import command, make_executable
from worker_agent.heartbeat import find_runtimes
from worker_agent.orders import Orders
from worker_agent.outcome import Outcome
from worker_agent.process import Launch, StepProcess
from worker_agent.supervise import Supervisor
from workties.errors import BadPackage
from workties.messages import Checkpoint, Limits

MEBIBYTE = 1024 * 1024

#: Fills memory until it is told that there is no more.
GREEDY = {
    "nodejs": "const kept = []; for (;;) kept.push(new Array(100_000).fill(kept.length + 0.5));",
    "java": """
import java.util.ArrayList;

public class Main {
    public static void main(String[] arguments) {
        ArrayList<long[]> kept = new ArrayList<>();
        for (;;) kept.add(new long[100_000]);
    }
}
""",
}


class Ears:
    """Remembers the states and lines of a step."""

    def __init__(self) -> None:
        self.states: list[Checkpoint] = []
        self.lines: list[str] = []

    def state(self, checkpoint: Checkpoint) -> None:
        self.states.append(checkpoint)

    def progress(self, progress: float, message: str) -> None:
        pass

    def line(self, stream: str, text: str) -> None:
        self.lines.append(text)

    def tick(self) -> float | None:
        return None


Run = Callable[[str, str, str, Limits], tuple[Outcome, Ears]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run(language, entry, code, limits): a program, to its end."""

    def perform(language: str, entry: str, code: str, limits: Limits) -> tuple[Outcome, Ears]:
        runtimes = find_runtimes()
        assert language in runtimes, f"this test needs {language}: apt-get install nodejs default-jdk-headless"
        (tmp_path / entry).write_text(code)
        if language == "executable":
            make_executable(tmp_path / entry, entry, platform.machine())
        launch = Launch(
            command=command(language, entry, tmp_path, runtimes, limits.memory),
            package=tmp_path,
            home=tmp_path,
            input_file=tmp_path / "input.json",
            limits=limits,
        )
        ears, orders = Ears(), Orders()
        process = StepProcess(launch)
        try:
            return Supervisor(process, orders, ears, limits).run(), ears
        finally:
            process.close()
            orders.close()

    return perform


@pytest.mark.parametrize(
    ("language", "entry", "expected"),
    [
        ("python", "top/main.py", ("py", "-P", "-m", "workties.launch", "/p/top/main.py")),
        ("nodejs", "app.js", ("node", "--max-old-space-size=100", "/p/app.js")),
        ("java", "app.jar", ("java", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx100m", "-jar", "/p/app.jar")),
        ("java", "top/App.class", ("java", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx100m", "-cp", "/p/top", "App")),
        ("java", "App.java", ("java", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx100m", "/p/App.java")),
        ("executable", "bin/run", ("/p/bin/run",)),
    ],
)
def test_each_language_has_its_command(language: str, entry: str, expected: tuple[str, ...]) -> None:
    runtimes = {"python": "py", "nodejs": "node", "java": "java", "executable": ""}
    assert command(language, entry, Path("/p"), runtimes, 200 * MEBIBYTE) == expected


@pytest.mark.parametrize(("language", "entry"), [("nodejs", "main.js"), ("java", "Main.java")])
def test_a_program_that_needs_too_much_memory_fails_for_that_reason(language: str, entry: str, run: Run) -> None:
    outcome, _ = run(language, entry, GREEDY[language], Limits(memory=200 * MEBIBYTE, wall=60))
    assert outcome.reason
    assert outcome.reason.code == "memory", outcome.last_output
    assert len(outcome.last_output) <= 20


def test_a_script_writes_to_its_descriptor_by_name_and_every_account_may(run: Run) -> None:
    script = """#!/bin/sh
printf '{"type":"state","state":"writing"}\\n' >"/dev/fd/$WORKTY_EVENTS_FD"
stat -L -c %a "/dev/fd/$WORKTY_EVENTS_FD" "/dev/fd/$WORKTY_CONTROL_FD"
"""
    outcome, ears = run("executable", "main.sh", script, Limits(wall=60))
    assert outcome.reason is None, outcome.last_output
    assert ears.states == [Checkpoint("writing")]
    assert ears.lines == ["666", "666"]


def elf(processor: int, loader: bytes = b"") -> bytes:
    """The begin of a program for a processor, by its number in the header."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, processor) + bytes(100) + loader + bytes(10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"echo no interpreter\n", "'bin/run' is no program: begin a script with '#!'"),
        (b"", "'bin/run' is no program"),
        (b"#!\n", "'bin/run' names no interpreter"),
        (b"#!/bin/sh\r\necho hello\r\n", r"'bin/run' has the line ends of Windows \(CR LF\)"),
        (
            b"#!/opt/nowhere/lua -x\n",
            "'bin/run' needs the interpreter /opt/nowhere/lua, which this board does not have",
        ),
        (elf(8), r"'bin/run' is built for another processor \(number 8\); this board is"),
        (elf(62, b"/lib/ld-nowhere.so.2"), "'bin/run' needs the loader /lib/ld-nowhere.so.2, which this board"),
        (elf(183, b"/lib/ld-nowhere.so.2"), "'bin/run' is built for aarch64; this board is x86_64. Build it for that"),
    ],
)
def test_what_cannot_be_started_is_refused_by_its_name(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(BadPackage, match=message):
        make_executable(tmp_path / "run", "bin/run", "x86_64", tmp_path)


def test_programs_for_other_processors_are_tried_where_an_emulator_may_run_them(tmp_path: Path) -> None:
    (tmp_path / "qemu-other").touch()
    (tmp_path / "run").write_bytes(elf(8))
    make_executable(tmp_path / "run", "run", "x86_64", tmp_path)
    assert (tmp_path / "run").stat().st_mode & 0o111 == 0o111


def test_a_real_program_needs_no_mode_of_its_own(tmp_path: Path) -> None:
    shutil.copyfile("/bin/true", tmp_path / "run")
    make_executable(tmp_path / "run", "run", platform.machine())
    assert (tmp_path / "run").stat().st_mode & 0o111 == 0o111
