"""A board needs no compiled package: what the `board` extra installs exists as pure-Python wheels."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def board_requirements() -> list[str]:
    """What `pip install workty[board]` asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["board"]]


def complaint_without_compiled_wheels(requirements: list[str]) -> str:
    """What pip says when only wheels without compiled code may be installed, for all they depend on too; "" if fine."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt")]
    command += ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none", "--python-version=3.11"]
    command += ["--target=nowhere"]  # older pips want one with a platform; a dry run makes nothing there
    pip = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    return "" if pip.returncode == 0 else pip.stderr


def test_a_board_installs_pure_python_only() -> None:
    assert complaint_without_compiled_wheels(board_requirements()) == ""


@pytest.mark.parametrize("compiled", ["psutil", "pymongo"])
def test_a_compiled_package_on_the_board_would_be_noticed(compiled: str) -> None:
    complaint = complaint_without_compiled_wheels([*board_requirements(), compiled])
    assert re.search(rf"ERROR: (No matching distribution found for|Cannot install) {compiled}\b", complaint)
