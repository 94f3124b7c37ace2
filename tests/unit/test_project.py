"""What holds for the project as a whole and no single module's test would notice."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where packages come from is the affair of whoever installs, so no address of an index belongs in here.
INDEX = re.compile(r"--(extra-)?index-url|--find-links|pypi\.org|pythonhosted\.org|registry\.npmjs\.org")


def tracked(pattern: str = "*") -> list[Path]:
    """Files under version control that match; git's pattern, so `*` goes through folders."""
    names = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, check=True, text=True)
    return [path for name in names.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_every_module_says_what_it_is_responsible_for() -> None:
    modules = {path: path.read_text() for path in tracked("*.py")}
    assert len(modules) > 10
    assert [str(path) for path, code in modules.items() if code and not ast.get_docstring(ast.parse(code))] == []


def test_no_file_names_a_package_index() -> None:
    files = [path for path in tracked() if path != Path(__file__)]
    assert [str(path) for path in files if INDEX.search(path.read_text(errors="replace"))] == []


def test_every_installed_version_is_pinned_by_name_and_number_alone() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
