"""Walks through a folder in a fixed order, from any point of it, without ever following a link.

Everything is opened from the folder that it is in, not by its path: who swaps a folder for a link meanwhile leads it
nowhere else.
"""

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence

from workties import StepFailed

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
#: Folders within folders that are entered, since each of them takes open files.
DEEPEST = 200


class Visit:
    """Something that the walk came by. A folder is visited twice: before and, with `left`, after what is in it.

    Attributes:
        names: names of the folders in which it is, and its own.
        folder: descriptor of the folder that it is in.
        found: as `os.lstat` gives it.
        seen: it was visited by the earlier walk that this one continues.
        problem: why a folder cannot be entered, empty if it can.
        skip: to be set at the first visit of a folder that is not to be entered.
    """

    def __init__(self, names: tuple[str, ...], folder: int, *, seen: bool) -> None:
        self.names, self.folder, self.seen = names, folder, seen
        self.problem = ""
        self.left = self.skip = False
        self.look_again()

    def look_again(self) -> None:
        """Renew `found`."""
        self.found = os.stat(self.names[-1], dir_fd=self.folder, follow_symlinks=False)

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def path(self) -> str:
        return "/".join(self.names)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.found.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.found.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.found.st_mode)

    def matches(self, patterns: Sequence[str]) -> bool:
        """Whether one of the patterns means it: with a slash its path, else its name."""
        return any(fnmatch.fnmatchcase(self.path if "/" in each else self.name, each) for each in patterns)


def walk(folder: int, after: Sequence[str] = (), names: tuple[str, ...] = ()) -> Iterator[Visit]:
    """What is in the open `folder`, in order of names, each folder followed by what is in it.

    Args:
        after: names of what the earlier walk visited last; what came before it is left out.
        names: of the folders in which `folder` is.
    """
    for name in sorted(os.listdir(folder)):
        seen = bool(after) and name == after[0]
        if after and name < after[0]:
            continue
        try:
            visit = Visit((*names, name), folder, seen=seen)
        except FileNotFoundError:
            continue
        if visit.is_folder:
            yield from _enter(visit, after[1:] if seen else ())
        elif not seen:
            yield visit


def _enter(visit: Visit, after: Sequence[str]) -> Iterator[Visit]:
    try:
        if len(visit.names) > DEEPEST:
            raise OSError(0, f"there are more than {DEEPEST} folders within each other")
        folder = os.open(visit.name, FOLDER, dir_fd=visit.folder)
    except OSError as error:
        visit.problem = error.strerror or str(error)
        yield visit
        return
    try:
        yield visit
        if not visit.skip:
            yield from walk(folder, after, visit.names)
            visit.left = True
            yield visit
    finally:
        os.close(folder)


class Descent:
    """The folder of another tree that lies where a walk is. Folders are opened from each other, never through links."""

    def __init__(self, root: str) -> None:
        try:
            self._folders = [os.open(root, os.O_RDONLY | os.O_DIRECTORY)]
        except OSError as error:
            raise StepFailed(f"{root} cannot be opened: {error.strerror}") from error

    def __enter__(self) -> "Descent":
        return self

    def __exit__(self, *_: object) -> None:
        while self._folders:
            os.close(self._folders.pop())

    @property
    def folder(self) -> int:
        """Its descriptor."""
        return self._folders[-1]

    def enter(self, name: str) -> None:
        """Go down."""
        self._folders.append(os.open(name, FOLDER, dir_fd=self.folder))

    def leave(self) -> None:
        """Go up."""
        os.close(self._folders.pop())

    def find(self, name: str) -> os.stat_result | None:
        """What is called so in the folder, None if nothing is."""
        try:
            return os.stat(name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None


def to_memory(names: Sequence[str]) -> list[str]:
    """Names as JSON can hold them: they may be any bytes, and each byte becomes a character."""
    return [os.fsencode(name).decode("latin-1") for name in names]


def from_memory(kept: Sequence[str]) -> list[str]:
    return [os.fsdecode(name.encode("latin-1")) for name in kept]
