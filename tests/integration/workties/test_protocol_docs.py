"""What docs/protocol.md says of the step protocol, and its programs, letter by letter."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from workties import bounds
from workties.messages import Assignment, Checkpoint, Limits, Program
from workties.protocol import Line, OutputLine, PausedLine, ProgressLine, parse_line, step_input

Start = Callable[..., Any]
States = Callable[[list[Any]], list[str]]

TEXT = Path("docs/protocol.md").read_text(encoding="utf-8")
#: Each program by its language and which of that language it is.
PROGRAMS = [("sh", 0), ("js", 0), ("java", 0), ("js", 1), ("java", 1)]
HELPED = {"js": "nodejs", "java": "java"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture(params=PROGRAMS, ids=["shell", "node", "java", "node with helper", "java with helper"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The entry point of a program as it is written there."""
    language, number = request.param
    code = blocks(language)[number]
    if number:
        entry: Path = request.getfixturevalue(HELPED[language])(code)
        return entry
    written = tmp_path / {"sh": "main.sh", "js": "main.js", "java": "Main.java"}[language]
    written.write_text(code)
    return written


def test_every_program_is_run() -> None:
    assert sorted(PROGRAMS) == [(name, n) for name in ("java", "js", "sh") for n in range(len(blocks(name)))]
    assert TEXT.count("```") == 2 * len(PROGRAMS)


def test_a_program_runs_through_its_states(program: Path, start: Start, states: States) -> None:
    running = start(program, parts=1)
    lines = running.lines()
    assert running.end() == (0, "", "")
    assert list(dict.fromkeys(states(lines))) == ["preparing", "working", "finishing"]
    assert [line.progress for line in lines if isinstance(line, ProgressLine)] == [1.0]
    assert lines[-1] == OutputLine({"ready": 1})


def test_a_paused_program_goes_on_from_its_last_checkpoint(program: Path, start: Start, states: States) -> None:
    running = start(program, parts=3600)
    running.until(lambda line: isinstance(line, ProgressLine))
    running.pause()
    *_, checkpoint, last = running.lines()
    assert last == PausedLine()
    assert running.end() == (0, "", "")
    ready = checkpoint.memory["ready"]
    assert ready >= 1
    resumed = start(program, parts=ready + 1, checkpoint=Checkpoint("working", {"ready": ready}))
    lines = resumed.lines()
    assert list(dict.fromkeys(states(lines))) == ["working", "finishing"]
    assert lines[-1] == OutputLine({"ready": ready + 1})


def test_every_kind_of_line_is_there_and_read_as_it_is_written() -> None:
    rows = re.findall(r"^\| `(\{.*?)` \|", section("Lines of the program"), flags=re.MULTILINE)
    assert {type(parse_line(row.replace("{...}", "{}").encode())) for row in rows} == set(get_args(Line))


def test_every_field_of_the_input_and_every_variable_is_there() -> None:
    workty = Program("p1", "copy", "1.0", "python", "main.py")
    ids = {"id": "m1", "at": "", "board": "b1", "run": "r1", "instance": "i1", "attempt": 3, "seq": 1, "workflow": "w1"}
    given = step_input(Assignment(**ids, workty=workty, package=None, properties=(), checkpoint=None, limits=Limits()))
    assert re.findall(r"^\| `(\w+)` \|", section("The input file"), flags=re.MULTILINE) == list(json.loads(given))
    variables = re.findall(r"^\| `(WORKTY_\w+)` \|", TEXT, flags=re.MULTILINE)
    assert variables == [bounds.EVENTS_FD, bounds.CONTROL_FD, bounds.INPUT]
