"""What docs/workties.md shows, letter by letter; what needs a server is an acceptance test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workties.authoring.checking import check
from workties.sdk import Workty

TEXT = Path("docs/workties.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def done(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command that must succeed."""
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8"}
    found = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found
    return found


def test_the_commands_that_need_no_server_work_as_they_are_written(tmp_path: Path) -> None:
    local = [block for block in blocks("sh") if "push" not in block]
    printed = done(["bash", "-c", "set -eu\n" + "\n".join(local)], tmp_path).stdout
    assert "tea: completed" in printed
    assert 'Output: {"done": 2}' in printed
    assert "tea.zip\n" in printed
    assert "brew: completed" in printed
    assert "press: completed" in printed
    assert "tea: nothing is wrong" in printed
    assert "tea: paused" in printed
    assert printed.endswith('Output: {"done": 3}\n')
    assert (tmp_path / "tea.svg").is_file()


def test_the_whole_workty_is_a_good_one_and_its_tests_pass(tmp_path: Path) -> None:
    [manifest] = blocks("toml")
    program, tests = blocks("python")
    for name, text in (("workty.toml", manifest), ("main.py", program), ("test_main.py", tests)):
        (tmp_path / name).write_text(text)
    assert check(tmp_path).findings == ()
    assert "Ran 3 tests" in done([sys.executable, "-m", "unittest"], tmp_path).stderr


@pytest.mark.parametrize("name", [name for name in (*vars(Workty), "properties", "memory", "output", "board", "attempt")
                                  if not name.startswith("_") and name not in ("run", "defaults")])  # fmt: skip
def test_all_that_a_workty_can_do_is_documented(name: str) -> None:
    table = TEXT[TEXT.index("## What a workty can do") : TEXT.index("## What a step has")]
    assert re.search(rf"\b{name}\b", table)
