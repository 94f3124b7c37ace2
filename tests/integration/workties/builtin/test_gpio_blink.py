"""gpio-blink: on a line that notes how it is switched, and simulated."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workties.builtin.loading import FOLDER, properties_of
from workties.messages import Checkpoint
from workties.protocol import Line, LogText, OutputLine, PausedLine, ProgressLine, StateLine

Start = Callable[..., Any]
States = Callable[[list[Line]], list[str]]

#: What the workty uses of libgpiod's bindings, version 2. Notes what happens to a line in the file `chip`.
GPIOD = """
from enum import Enum
from types import SimpleNamespace

class Value(Enum):
    INACTIVE = 0
    ACTIVE = 1

class Direction(Enum):
    OUTPUT = 2

line = SimpleNamespace(Value=Value, Direction=Direction)

def LineSettings(*, direction, output_value):
    assert direction is Direction.OUTPUT
    return output_value

class request_lines:
    def __init__(self, path, *, config, consumer):
        if "GPIO99" in config:
            raise ValueError("unknown line name: GPIO99")
        self.path = path
        [(self.key, value)] = config.items()
        self.note(f"requested {self.key!r}", value)

    def note(self, *what):
        with open(self.path, "a") as file:
            print(*what, file=file)

    def set_value(self, key, value):
        assert key == self.key
        self.note("set", value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.note("released")
"""
ON, OFF = "set Value.ACTIVE", "set Value.INACTIVE"


class Chip:
    """A chip that exists, and a library that notes what is done with it."""

    def __init__(self, folder: Path) -> None:
        self.path, self._library = folder / "chip", folder / "library"
        self.path.touch()
        self._library.mkdir()
        (self._library / "gpiod.py").write_text(GPIOD)

    def program(self) -> str:
        blink = str(FOLDER / "gpio-blink")
        return (
            f"import sys\nsys.path[:0] = [{blink!r}, {str(self._library)!r}]\n"
            "import main\nclass Tested(main.GpioBlink):\n    pass\n"
        )

    def happened(self) -> list[str]:
        return self.path.read_text().splitlines()


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return Chip(tmp_path)


def blink(start: Start, library: Chip, *, checkpoint: Checkpoint | None = None, **given: Any) -> Any:
    """Start the step, on the library's chip unless another one is given."""
    quick = {"chip": str(library.path), "on_seconds": 0, "off_seconds": 0, "times": 2}
    properties = properties_of("gpio-blink", **{**quick, **given})
    return start(library.program(), checkpoint=checkpoint, **properties)


def switched_on(line: Line) -> bool:
    return isinstance(line, ProgressLine)


@pytest.mark.parametrize(("line", "key"), [("17", "17"), ("GPIO17", "'GPIO17'")])
def test_a_line_is_switched_as_often_as_asked_and_left_low(
    start: Start, chip: Chip, states: States, line: str, key: str
) -> None:
    program = blink(start, chip, line=line)
    lines = program.lines()
    assert program.end() == (0, "", "")
    assert states(lines) == ["preparing", "blinking", "finishing"]
    assert chip.happened() == [f"requested {key} Value.INACTIVE", ON, OFF, ON, OFF, OFF, "released"]
    assert lines[-1] == OutputLine({"line": line, "chip": str(chip.path), "times": 2, "simulated": False})
    assert [line.message for line in lines if isinstance(line, ProgressLine)] == [
        "blink 1 of 2",
        "blink 2 of 2",
        "done",
    ]


def test_paused_it_leaves_the_line_low_and_goes_on_with_the_rest(start: Start, chip: Chip) -> None:
    program = blink(start, chip, times=3, off_seconds=3600)
    program.until(switched_on)
    program.pause()
    *_, kept, last = program.lines()
    assert last == PausedLine()
    assert chip.happened()[-2:] == [OFF, "released"]

    chip.path.write_text("")
    blink(start, chip, times=3, checkpoint=Checkpoint(kept.state, kept.memory)).lines()
    assert chip.happened().count(ON) == 3 - kept.memory.get("done", 0)


def test_ended_it_leaves_the_line_low(start: Start, chip: Chip) -> None:
    program = blink(start, chip, on_seconds=3600)
    program.until(switched_on)
    program.process.send_signal(signal.SIGTERM)
    assert program.end()[0] == 128 + signal.SIGTERM
    assert chip.happened()[-2:] == [OFF, "released"]


def test_on_a_board_without_the_chip_it_is_simulated(start: Start, chip: Chip, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    lines = blink(start, chip, chip=missing, times=1).lines()
    said = [line.text for line in lines if isinstance(line, LogText)]
    reason = f"Simulating line 17 of {missing}: there is no {missing}, or the board does not lend it to steps"
    assert said == [reason, "simulated: on", "simulated: off", "simulated: off and released"]
    assert lines[-1].output["simulated"] is True


@pytest.mark.parametrize("library", ["", "raise ImportError"], ids=["older", "none"])
def test_without_the_library_it_is_simulated(start: Start, chip: Chip, tmp_path: Path, library: str) -> None:
    (tmp_path / "library" / "gpiod.py").write_text(library)
    lines = blink(start, chip).lines()
    reason = "Python's gpiod 2 is not installed where the agent is"
    assert LogText(f"Simulating line 17 of {chip.path}: {reason}") in lines
    assert chip.happened() == []


def test_a_simulation_can_be_asked_for(start: Start, chip: Chip) -> None:
    assert LogText(f"Simulating line 17 of {chip.path}: as asked") in blink(start, chip, simulate="yes").lines()
    assert chip.happened() == []


def test_a_long_blinking_makes_checkpoints_on_the_way(start: Start, chip: Chip) -> None:
    code = chip.program().replace("class Tested", "main.CHECKPOINT = 0\nclass Tested")
    properties = properties_of("gpio-blink", chip=str(chip.path), on_seconds=0, off_seconds=0, times=3)
    program = start(code, **properties)
    done = [line.memory.get("done") for line in program.lines() if isinstance(line, StateLine)]
    assert done == [None, None, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"chip": "/nowhere", "simulate": "no"}, "Line 17 of /nowhere cannot be switched: there is no /nowhere"),
        ({"line": "GPIO99"}, "cannot be switched: unknown line name: GPIO99. Is it the right one, and free?"),
        ({"times": -1}, "Property 'times': expected 0 or more, got -1"),
        ({"on_seconds": -0.5}, "Property 'on_seconds': expected 0 or more, got -0.5"),
        ({"simulate": "maybe"}, "Property 'simulate': expected auto, yes or no, got 'maybe'"),
    ],
)
def test_what_cannot_be_done_is_explained(start: Start, chip: Chip, properties: dict[str, Any], message: str) -> None:
    program = blink(start, chip, **properties)
    program.lines()
    code, _, stderr = program.end()
    assert code == 1
    assert message in stderr
