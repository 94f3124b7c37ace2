"""shell-command: what a command writes and ends with, and that it is run once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workties.messages import Checkpoint
from workties.protocol import OutputLine, PausedLine, ProgressLine, StateLine

Start = Callable[..., Any]
States = Callable[[list[Any]], list[str]]


def test_a_command_writes_as_the_step_and_leaves_its_exit_code_and_output(perform: Start, states: States) -> None:
    command = 'echo "hello $NAME"; echo trouble >&2; test -z "$WORKTY_EVENTS_FD" && exit 3'
    program = perform("shell-command", command=command, environment={"NAME": "board"}, expect=[0, 3])
    lines = program.lines()
    assert program.end() == (0, "hello board\n", "trouble\n")
    assert list(dict.fromkeys(states(lines))) == ["preparing", "running", "checking"]
    assert lines[-1] == OutputLine({"exit_code": 3, "stdout": "hello board\n", "stdout_cut": False})


def test_of_a_long_output_the_end_is_kept(perform: Start) -> None:
    program = perform("shell-command", command="head -c 40000 /dev/zero | tr '\\0' x; echo end")
    *_, line = program.lines()
    assert program.end()[1] == "x" * 40_000 + "end\n"
    assert line.output == {"exit_code": 0, "stdout": "x" * (16 * 1024 - 4) + "end\n", "stdout_cut": True}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"command": ":", "expect": [1]}, "The command ended with exit code 0; expected 1\n"),
        ({"command": " "}, "Property 'command' is empty. Set it to what the shell is to run\n"),
        ({"command": ":", "expect": "0"}, "Property 'expect': expected a list of exit codes, e.g. [0, 1], got '0'\n"),
        ({"command": ":", "timeout": -1}, "Property 'timeout': expected seconds, 0 or more, got -1\n"),
        ({"command": ":", "environment": ["a"]}, "Property 'environment': expected an object of texts and numbers\n"),
        ({"command": ":", "environment": {"A": []}}, "Property 'environment': 'A' has no value that a variable can"),
    ],
)
def test_a_step_that_fails_says_why(perform: Start, properties: dict[str, Any], message: str) -> None:
    code, _, stderr = perform("shell-command", **properties).end()
    assert code == 1
    assert stderr.startswith(message)


@pytest.mark.parametrize(
    ("properties", "code", "message"),
    [
        ({"command": "exit 4"}, 4, "The command ended with exit code 4; expected 0\n"),
        ({"command": "kill -9 $$"}, 137, "The command ended with exit code 137; expected 0\n"),
        ({"command": "sleep 60", "timeout": 0.1}, 1, "The command ran longer than 0.1 s and was ended\n"),
    ],
)
def test_a_step_whose_command_failed_ends_as_it_did_and_may_run_it_again(
    perform: Start, properties: dict[str, Any], code: int, message: str
) -> None:
    program = perform("shell-command", **properties)
    *_, kept = (line for line in program.lines() if isinstance(line, StateLine))
    assert program.end()[::2] == (code, message)
    assert (kept.state, kept.memory) == ("running", {})
    again = perform("shell-command", command="echo again", checkpoint=Checkpoint(kept.state, kept.memory))
    assert again.end() == (0, "again\n", "")


def test_what_a_command_leaves_behind_does_not_keep_the_step_and_ends_with_it(perform: Start) -> None:
    command = "(trap 'echo too late' TERM; sleep 60; echo late) & echo done"
    program = perform("shell-command", command=command)
    assert program.lines()[-1].output["stdout"] == "done\n"
    assert program.end() == (0, "done\n", "")


def test_a_stop_reaches_the_command_which_may_end_in_its_own_way(perform: Start) -> None:
    program = perform("shell-command", command="trap 'echo saved; exit 5' TERM; echo up; while :; do sleep 0.05; done")
    assert program.process.stdout.readline() == b"up\n"
    program.process.send_signal(signal.SIGTERM)
    *_, kept = (line for line in program.lines() if isinstance(line, StateLine))
    code, stdout, stderr = program.end()
    assert (code, stdout) == (5, "saved\n")
    assert "exit code 5" in stderr
    assert (kept.state, kept.memory) == ("running", {"begun": True})


def test_a_pause_waits_for_the_commands_end_and_keeps_what_came_of_it(perform: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    program = perform("shell-command", command=f"read word <{tmp_path}/go; echo $word")
    program.until(lambda line: isinstance(line, ProgressLine))
    program.pause()
    (tmp_path / "go").write_text("gone\n")
    *_, kept, last = program.lines()
    assert (kept.state, last) == ("checking", PausedLine())
    resumed = perform("shell-command", command="echo again", checkpoint=Checkpoint(kept.state, kept.memory))
    assert resumed.lines()[-1].output["stdout"] == "gone\n"
    assert resumed.end() == (0, "", "")


def test_a_pause_before_the_command_begins_lets_the_next_attempt_run_it(perform: Start) -> None:
    program = perform("shell-command", command="echo run", checkpoint=Checkpoint("preparing"))
    program.pause()
    lines = program.lines()
    assert PausedLine() in lines
    checkpoint = next(line for line in reversed(lines) if isinstance(line, StateLine))
    assert "begun" not in checkpoint.memory


def test_a_command_that_was_cut_short_is_not_run_again_unless_it_may_be(perform: Start, tmp_path: Path) -> None:
    for name in ("up", "go"):
        os.mkfifo(tmp_path / name)
    program = perform("shell-command", command=f"echo up >{tmp_path}/up; read word <{tmp_path}/go")
    assert (tmp_path / "up").read_text() == "up\n"
    program.process.kill()
    *_, kept = (line for line in program.lines() if isinstance(line, StateLine))
    (tmp_path / "go").write_text("end\n")
    checkpoint = Checkpoint(kept.state, kept.memory)
    code, stdout, stderr = perform("shell-command", command="echo again", checkpoint=checkpoint).end()
    assert (code, stdout) == (1, "")
    assert stderr.startswith("The command was cut short, so nobody knows how far it came.")
    repeatable = perform("shell-command", command="echo again", checkpoint=checkpoint, repeatable=True)
    assert repeatable.end() == (0, "again\n", "")
