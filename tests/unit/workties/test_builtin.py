"""The built-in workties: their packages, and that they run, pause and resume as boards run them."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workties import builtin, package
from workties.builtin import BuiltinPackage, builtin_packages
from workties.messages import Checkpoint
from workties.protocol import OutputLine, PausedLine, ProgressLine, StateLine

Start = Callable[..., Any]
States = Callable[[list[Any]], list[str]]
Unpacked = Callable[[str], Path]

DELAYS = ["with-delay", "with-delay-node"]


def by_name(name: str) -> BuiltinPackage:
    return next(found for found in builtin_packages() if found.manifest.name == name)


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpacked:
    """The entry point of a built-in workty, unpacked from its package."""

    def unpack(name: str) -> Path:
        found = by_name(name)
        if found.info.language == "nodejs" and shutil.which("node") is None:
            pytest.fail("this test runs a Node workty: install nodejs 18 or newer", pytrace=False)
        package.unpack(found.data, tmp_path / "package")
        return tmp_path / "package" / found.info.entry

    return unpack


def test_the_built_in_workties_are_known_by_name() -> None:
    found = {each.manifest.name: (each.info.language, each.info.entry) for each in builtin_packages()}
    assert found == {
        "copy-directory": ("python", "main.py"),
        "download-file": ("python", "main.py"),
        "http-request": ("python", "main.py"),
        "shell-command": ("python", "main.py"),
        "wait-for": ("python", "main.py"),
        "gpio-blink": ("python", "main.py"),
        "mqtt-publish": ("python", "main.py"),
        "package-update": ("python", "main.py"),
        "reboot-board": ("python", "main.py"),
        "system-report": ("python", "main.py"),
        "with-delay": ("python", "main.py"),
        "with-delay-node": ("nodejs", "app.js"),
        "without-delay": ("python", "main.py"),
    }


def test_each_folder_is_named_like_its_workty() -> None:
    folders = {path.parent.name for path in Path(builtin.__file__).parent.glob("*/workty.toml")}
    assert folders == {each.manifest.name for each in builtin_packages()}


def test_packages_are_always_the_same_bytes() -> None:
    assert [each.data for each in builtin_packages()] == [each.data for each in builtin_packages()]


def test_manifests_name_the_states_that_are_entered(start: Start, unpacked: Unpacked, states: States) -> None:
    program = start(unpacked("without-delay"))
    assert states(program.lines()) == list(by_name("without-delay").manifest.states)
    assert program.end() == (0, "", "")


@pytest.mark.parametrize("name", DELAYS)
def test_a_delay_is_waited_for_with_progress(name: str, start: Start, unpacked: Unpacked, states: States) -> None:
    program = start(unpacked(name), delay=0.2)
    lines = program.lines()
    assert program.end() == (0, "", "")
    assert list(dict.fromkeys(states(lines))) == list(by_name(name).manifest.states)
    assert OutputLine({"delayed": 0.2}) in lines
    progress = [line.progress for line in lines if isinstance(line, ProgressLine)]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert len(progress) > 5


@pytest.mark.parametrize("name", DELAYS)
def test_a_delay_may_be_nothing_at_all_or_a_text(name: str, start: Start, unpacked: Unpacked) -> None:
    program = start(unpacked(name), delay="0")
    assert OutputLine({"delayed": 0}) in program.lines()
    assert program.end() == (0, "", "")


@pytest.mark.parametrize("name", DELAYS)
@pytest.mark.parametrize("delay", [-1, "soon"])
def test_a_delay_that_is_none_fails(name: str, delay: Any, start: Start, unpacked: Unpacked) -> None:
    program = start(unpacked(name), delay=delay)
    code, _, stderr = program.end()
    assert code == 1
    assert str(delay) in stderr


@pytest.mark.parametrize("name", DELAYS)
def test_a_paused_delay_remembers_how_much_is_done(name: str, start: Start, unpacked: Unpacked) -> None:
    program = start(unpacked(name), delay=3600)
    program.until(lambda line: isinstance(line, ProgressLine) and line.progress > 0)
    program.pause()
    *_, checkpoint, last = program.lines()
    assert last == PausedLine()
    assert checkpoint.state == "waiting"
    assert 0 < checkpoint.memory["done"] < 3600
    assert program.end() == (0, "", "")


@pytest.mark.parametrize("name", DELAYS)
def test_a_resumed_delay_waits_for_the_rest_only(name: str, start: Start, unpacked: Unpacked, states: States) -> None:
    checkpoint = Checkpoint("waiting", {"delay": 3600, "done": 3599.9})
    lines = start(unpacked(name), delay=3600, checkpoint=checkpoint).lines()
    assert states(lines) == ["waiting", "finishing"]
    assert all(line.progress > 0.99 for line in lines if isinstance(line, ProgressLine))
    assert OutputLine({"delayed": 3600}) in lines


@pytest.mark.parametrize("name", DELAYS)
def test_a_delay_resumed_at_its_end_only_ends(name: str, start: Start, unpacked: Unpacked, states: States) -> None:
    checkpoint = Checkpoint("finishing", {"delay": 3600, "done": 3600})
    lines = start(unpacked(name), delay=3600, checkpoint=checkpoint).lines()
    assert states(lines) == ["finishing"]
    assert OutputLine({"delayed": 3600}) in lines


@pytest.mark.parametrize("name", DELAYS)
def test_a_delay_ends_when_the_agent_does(name: str, start: Start, unpacked: Unpacked) -> None:
    program = start(unpacked(name), delay=3600)
    program.until(lambda line: isinstance(line, StateLine) and line.state == "waiting")
    program.leave()
    assert program.lines()[-1] == PausedLine()


@pytest.mark.parametrize("name", DELAYS)
def test_a_long_delay_makes_checkpoints_on_the_way(name: str, start: Start, unpacked: Unpacked) -> None:
    program = start(unpacked(name), delay=3600, checkpoint=Checkpoint("waiting", {"delay": 3600, "done": 1800}))
    found = (program.until(lambda line: isinstance(line, StateLine)) for _ in itertools.count())
    assert next(line.memory["done"] for line in found if line.memory["done"] > 1800) < 3000
