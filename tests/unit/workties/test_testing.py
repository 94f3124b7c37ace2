"""`workties.testing`: what authors use to test a workty without a server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workties import Workty, builtin
from workties.errors import BadMessage, BadProperties, BadWorkty
from workties.messages import Checkpoint
from workties.testing import run

MANIFEST = """
name = "adding"
version = "1.0"
language = "python"
entry = "main.py"

[[properties]]
name = "most"
type = "integer"
default = 2
"""
CODE = """
import numbers_to_add
from workties import Workty

class Adding(Workty):
    states = ("adding", "telling")

    def on_enter_adding(self):
        for number in numbers_to_add.up_to(self.properties["most"]):
            if number <= self.memory.get("last", 0):
                continue
            self.memory["last"] = number
            self.output["sum"] = self.output.get("sum", 0) + number
            self.progress(number / self.properties["most"], f"{number}")
            self.wait(60)

    def on_enter_telling(self):
        self.log("done\\non " + self.board)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "workty.toml").write_text(MANIFEST)
    (tmp_path / "main.py").write_text(CODE)
    (tmp_path / "numbers_to_add.py").write_text("def up_to(most): return range(1, most + 1)")
    return tmp_path


class Turning(Workty):
    states = ("turning", "done")
    transitions = ({"trigger": "again", "source": "turning", "dest": "="},)
    defaults = {"turns": 2}  # noqa: RUF012  (as authors write it)

    def on_enter_turning(self) -> str | None:
        turns = self.memory["turns"] = self.memory.get("turns", 0) + 1
        return "again" if turns != self.properties["turns"] else None


def test_a_folder_runs_with_the_types_and_defaults_of_its_manifest(folder: Path) -> None:
    assert run(folder).output == {"sum": 3}
    result = run(str(folder), properties={"most": "3"})
    assert result.states == ["adding", "telling"]
    assert result.output == {"sum": 6}
    assert result.progress[-1] == (1.0, "3")
    assert result.log == ["done", "on test"]
    assert (result.paused, result.waited) == (False, 180)
    assert result.checkpoint == Checkpoint("telling", {"last": 3, "_output": {"sum": 6}})


def test_a_pause_is_asked_in_the_midst_of_a_state_and_the_next_run_goes_on(folder: Path) -> None:
    paused = run(folder, properties={"most": 3}, pause_in="adding")
    assert paused.paused
    assert paused.output == {}
    assert paused.checkpoint == Checkpoint("adding", {"last": 1, "_output": {"sum": 1}})
    rest = run(folder, properties={"most": 3}, checkpoint=paused.checkpoint)
    assert [number for _, number in rest.progress] == ["2", "3"]
    assert rest.output == {"sum": 6}


def test_nothing_of_a_folder_is_left_behind(folder: Path) -> None:
    run(folder)
    assert "numbers_to_add" not in sys.modules
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"most": "many"}, "Property 'most': expected a whole number, got \"many\""),
        ({"least": 1}, "Property 'least': unknown; declared are most"),
    ],
)
def test_properties_that_do_not_fit_are_refused(folder: Path, properties: dict[str, object], message: str) -> None:
    with pytest.raises(BadProperties, match=message):
        run(folder, properties=properties)


def test_a_class_runs_as_it_is_and_each_entry_of_a_state_counts() -> None:
    result = run(Turning, properties={"turns": 3})
    assert result.states == ["turning", "turning", "turning", "done"]
    assert [found.memory for found in result.checkpoints] == [{}, {"turns": 1}, {"turns": 2}, {"turns": 3}]


def test_a_state_without_wait_pauses_when_the_next_one_is_entered() -> None:
    assert run(Turning, pause_in="turning").checkpoint == Checkpoint("turning", {"turns": 1})
    assert run(Turning, pause_in="turning").states == ["turning", "turning"]


def test_a_workty_that_never_ends_is_told_so() -> None:
    with pytest.raises(BadWorkty, match="still going after 20000 lines"):
        run(Turning, properties={"turns": -1})


def test_what_a_board_would_refuse_a_test_refuses() -> None:
    class Careless(Workty):
        states = ("only",)

        def on_enter_only(self) -> None:
            self.memory["seen"] = {1, 2}
            self.checkpoint()

    with pytest.raises(BadMessage, match=r"memory\.seen: expected plain JSON"):
        run(Careless)


@pytest.mark.parametrize(
    ("name", "message"),
    [("plain.py", "defines no subclass of Workty"), ("empty", "has no workty.toml; name the file to run")],
)
def test_what_is_no_workty_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "plain.py").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadWorkty, match=message):
        run(tmp_path / name)


def test_waits_can_be_real() -> None:
    waited: list[float] = []
    folder = Path(builtin.__file__).parent / "with-delay"
    result = run(folder, properties={"delay": 0.001}, sleep=waited.append)
    assert result.output == {"delayed": 0.001}
    assert sum(waited) == pytest.approx(result.waited)
