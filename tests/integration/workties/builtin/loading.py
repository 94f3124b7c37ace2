"""Built-in workties in tests: their modules and properties, and programs with some other attributes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from workties import builtin
from workties.manifest import parse_manifest
from workties.properties import fill

FOLDER = Path(builtin.__file__).parent


def module_of(workty: str, file: str = "main.py") -> ModuleType:
    """A module of a built-in workty, newly loaded."""
    path = FOLDER / workty / file
    spec = importlib.util.spec_from_file_location(f"{workty}.{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program_with(workty: str, name: str, **attributes: object) -> str:
    """Source of a program that runs the class `name` of a built-in workty with other attributes of the class."""
    lines = [f"    {attribute} = {value!r}" for attribute, value in attributes.items()]
    return "\n".join(
        [
            "import sys",
            "from pathlib import Path, PosixPath",
            f"sys.path.insert(0, {str(FOLDER / workty)!r})",
            "import main",
            f"class Tested(main.{name}):",
            *(lines or ["    pass"]),
            "",
        ]
    )


def properties_of(workty: str, **given: Any) -> dict[str, Any]:
    """The properties of a step of a built-in workty, of which these are given and the others have their defaults."""
    return fill(parse_manifest((FOLDER / workty / "workty.toml").read_text("utf-8")).properties, given)
