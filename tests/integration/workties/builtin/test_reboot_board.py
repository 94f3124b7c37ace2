"""reboot-board: one reboot, at whatever moment the step is cut short."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workties.builtin.loading import module_of, program_with, properties_of
from workties.builtin import builtin_packages
from workties.messages import Checkpoint
from workties.protocol import Line, OutputLine, PausedLine, ProgressLine, StateLine

Start = Callable[..., Any]
States = Callable[[list[Line]], list[str]]

BOARD = "board-01"
ASKED = 1000.0


class Machine:
    """A board's files about its boot, and the command that reboots it, which only counts how often it was run."""

    def __init__(self, folder: Path) -> None:
        self.root, self._asked = folder / "root", folder / "asked"
        (self.root / "proc/1").mkdir(parents=True)
        (self.root / "proc/sys/kernel/random").mkdir(parents=True)
        self.boot("first")

    def boot(self, kernel: str, started: int = 7) -> None:
        (self.root / "proc/sys/kernel/random/boot_id").write_text(f"{kernel}\n")
        (self.root / "proc/1/stat").write_text("1 (an (odd) name) S " + "0 " * 18 + f"{started} 0 0\n")

    def command(self, exit_code: int = 0) -> list[str]:
        code = f"print('no', file=open({str(self._asked)!r}, 'a')); import sys; sys.exit({exit_code})"
        return [sys.executable, "-c", code]

    @property
    def asked(self) -> int:
        return len(self._asked.read_text().splitlines()) if self._asked.exists() else 0

    def program(self, **attributes: object) -> str:
        return program_with("reboot-board", "RebootBoard", root=self.root, **attributes)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def checkpoint(state: str = "rebooting", **memory: object) -> Checkpoint:
    return Checkpoint(state, {"board": BOARD, "boot": "first/7", "asked": ASKED, **memory})


def given(**properties: Any) -> dict[str, Any]:
    return properties_of("reboot-board", **{"timeout": 30, **properties})


def asked_to_reboot(line: Line) -> bool:
    return isinstance(line, ProgressLine) and "asked to reboot" in line.message


def run_until_asked(start: Start, machine: Machine, begin: Checkpoint | None) -> None:
    """Run the step to where it waits for the reboot, and cut the power."""
    program = start(machine.program(), board=BOARD, checkpoint=begin, **given(command=machine.command()))
    program.until(asked_to_reboot)
    program.process.kill()
    program.end()


def finish(start: Start, machine: Machine, begin: Checkpoint) -> list[Line]:
    program = start(machine.program(), board=BOARD, checkpoint=begin, **given(command=machine.command()))
    lines: list[Line] = program.lines()
    assert program.end() == (0, "", "")
    return lines


def test_a_board_is_rebooted_once_and_tells_how_long_it_was_away(
    start: Start, machine: Machine, states: States
) -> None:
    first = start(machine.program(), board=BOARD, **given(command=machine.command()))
    stored = first.until(lambda line: isinstance(line, StateLine) and line.state == "rebooting")
    first.until(asked_to_reboot)
    first.process.kill()

    machine.boot("second")
    lines = finish(start, machine, Checkpoint(stored.state, stored.memory))

    assert states(lines) == ["rebooting", "back"]
    output = lines[-1].output
    assert 0 <= output.pop("seconds_away") < 300
    assert output == {"boot_before": "first/7", "boot_after": "second/7"}
    assert machine.asked == 1


@pytest.mark.parametrize("begin", [None, Checkpoint("asking"), checkpoint()], ids=["nothing", "asking", "rebooting"])
def test_cut_short_before_the_command_it_asks_then(start: Start, machine: Machine, begin: Checkpoint | None) -> None:
    run_until_asked(start, machine, begin)
    assert machine.asked == 1


def test_cut_short_after_the_command_it_asks_the_same_boot_again(start: Start, machine: Machine) -> None:
    run_until_asked(start, machine, None)
    run_until_asked(start, machine, checkpoint())
    assert machine.asked == 2
    machine.boot("second")
    finish(start, machine, checkpoint())
    assert machine.asked == 2


def test_a_boot_that_came_before_the_command_is_the_reboot(start: Start, machine: Machine) -> None:
    machine.boot("second")
    assert finish(start, machine, checkpoint())[-1].output["boot_after"] == "second/7"
    assert machine.asked == 0


def test_a_restarted_container_has_booted_though_the_kernel_is_the_same(start: Start, machine: Machine) -> None:
    machine.boot("first", started=8)
    assert finish(start, machine, checkpoint())[-1].output["boot_after"] == "first/8"


def test_cut_short_when_it_was_back_it_tells_what_it_saw_then(start: Start, machine: Machine) -> None:
    machine.boot("third")
    begin = checkpoint("back", boot_now="second/7", back=ASKED + 42)
    expected = {"seconds_away": 42.0, "boot_before": "first/7", "boot_after": "second/7"}
    assert finish(start, machine, begin)[-1] == OutputLine(expected)


def test_a_clock_that_was_set_back_makes_no_negative_time(start: Start, machine: Machine) -> None:
    begin = checkpoint("back", boot_now="second/7", back=ASKED - 42)
    assert finish(start, machine, begin)[-1].output["seconds_away"] == 0


def test_paused_while_it_waits_it_can_go_on_after_the_reboot(start: Start, machine: Machine) -> None:
    program = start(machine.program(), board=BOARD, **given(command=machine.command()))
    program.until(asked_to_reboot)
    program.pause()
    *_, kept, last = program.lines()
    assert last == PausedLine()
    machine.boot("second")
    finish(start, machine, Checkpoint(kept.state, kept.memory))
    assert machine.asked == 1


@pytest.mark.parametrize("state", ["rebooting", "back"])
def test_another_board_is_not_rebooted_and_claims_nothing(start: Start, machine: Machine, state: str) -> None:
    machine.boot("of another board")
    program = start(
        machine.program(), board="board-02", checkpoint=checkpoint(state), **given(command=machine.command())
    )
    assert not [line for line in program.lines() if isinstance(line, OutputLine)]
    code, _, stderr = program.end()
    assert code == 1
    assert "The step began on board 'board-01' and was moved to 'board-02', which is not rebooted" in stderr
    assert machine.asked == 0


def test_nothing_is_asked_before_the_board_has_stored_what_to_compare_with(start: Start, machine: Machine) -> None:
    program = start(machine.program(store_seconds=0.05), board=BOARD, heard=False, **given(command=machine.command()))
    code, _, stderr = program.end()
    assert code == 1
    assert "The board did not store the step's checkpoint within 0.05 s" in stderr
    assert machine.asked == 0


def test_a_board_that_does_not_go_down_fails_the_step(start: Start, machine: Machine) -> None:
    program = start(machine.program(), board=BOARD, **given(command=machine.command(), timeout=0))
    program.lines()
    code, _, stderr = program.end()
    assert code == 1
    assert "Board 'board-01' was asked to reboot and still runs 0 s later" in stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sh", "-c", "echo not now >&2; exit 3"], "not now >&2; exit 3' failed with exit code 3: not now"),
        (["false"], "'false' failed with exit code 1: no reason given"),
        (["no-such-program", "now"], "'no-such-program now' cannot be run: No such file or directory"),
        ("reboot", "Property 'command': expected a list of words, got 'reboot'"),
        ([], "Property 'command': expected a list of words, got []"),
        ([1], "Property 'command': expected a list of words, got [1]"),
    ],
)
def test_a_command_that_does_not_work_is_explained(start: Start, machine: Machine, command: Any, message: str) -> None:
    program = start(machine.program(), board=BOARD, **given(command=command))
    program.lines()
    code, _, stderr = program.end()
    assert code == 1
    assert message in stderr


def test_a_command_that_the_reboot_itself_ended_is_none_that_failed(start: Start, machine: Machine) -> None:
    program = start(machine.program(), board=BOARD, **given(command=["sh", "-c", "kill -TERM $$"]))
    program.until(asked_to_reboot)


def test_only_the_own_command_is_run_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of("reboot-board")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert module.words(["systemctl", "reboot"]) == ["sudo", "-n", "systemctl", "reboot"]
    assert module.words(["reset-me"]) == ["reset-me"]
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert module.words(["systemctl", "reboot"]) == ["systemctl", "reboot"]


def test_the_boot_of_this_machine_has_an_identity() -> None:
    identity = module_of("reboot-board").boot_identity
    assert identity(Path("/")) == identity(Path("/"))
    assert len(identity(Path("/"))) > 36


def test_a_first_process_that_is_hidden_leaves_the_kernel_to_tell(machine: Machine) -> None:
    (machine.root / "proc/1/stat").unlink()
    assert module_of("reboot-board").boot_identity(machine.root) == "first/unknown"


def test_the_board_may_be_away_and_the_step_is_let_out_of_its_sandbox() -> None:
    manifest = next(found.manifest for found in builtin_packages() if found.manifest.name == "reboot-board")
    assert manifest.access.host
    assert manifest.recovery.resumable
    assert manifest.recovery.offline_grace == 600
