"""Makes a new workty: a folder with a small one that runs, to be changed into what is wanted."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from workties.errors import WorktyError
from workties.helpers import helper_file

#: What every name in the templates is replaced in: the workty's name, and the name of its class.
_NAME, _CLASS = "skeleton", "Skeleton"
_GOOD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class BadSkeleton(WorktyError):
    """A new workty cannot be made: its name is no good."""


class FolderExists(BadSkeleton):
    """A new workty cannot be made: its folder is there."""


def languages() -> list[str]:
    """The languages of which there are skeletons."""
    return sorted(path.name for path in _templates().iterdir() if path.is_dir())


def make(folder: Path, language: str) -> list[str]:
    """Make a workty of the folder's name in `folder`, which must not exist. Returns the names of its files.

    Raises:
        BadSkeleton: its name is no good for a workty.
        FolderExists: it is there.
        OSError: the folder cannot be made.
    """
    name = folder.name
    if not _GOOD_NAME.fullmatch(name):
        raise BadSkeleton(
            f"{name!r} cannot be a name: a letter first, then up to 63 letters, digits, - and _, e.g. nightly-backup"
        )
    if folder.exists() or folder.is_symlink():
        raise FolderExists(f"{folder} is there already; choose another name, or remove it")
    folder.mkdir()
    words = {_NAME: name, _CLASS: _class_name(name)}
    files = [path for path in _templates().joinpath(language).iterdir() if path.is_file()]
    for path in files:
        text = re.sub(f"{_NAME}|{_CLASS}", lambda found: words[found[0]], path.read_text("utf-8"))
        target = folder / path.name
        target.write_text(text, "utf-8")
        if text.startswith("#!"):
            target.chmod(0o755)
    helper = helper_file(language)
    if helper:
        files.append(helper)
        (folder / helper.name).write_bytes(helper.read_bytes())
    return sorted(path.name for path in files)


def _class_name(name: str) -> str:
    found = "".join(part[:1].upper() + part[1:] for part in re.split("[-_]", name))
    return f"{found}Step" if keyword.iskeyword(found) or found in ("Workty", "Path") else found


def _templates() -> Path:
    return Path(__file__).parent.parent / "templates"
