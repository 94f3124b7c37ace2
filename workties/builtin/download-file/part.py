"""The file in which a download grows, beside the one that it becomes."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from workties import StepFailed
from workties.web import in_words

CHUNK = 256 * 1024


class Part:
    """`NAME.part`, open and locked, so that no other step writes it at the same time."""

    def __init__(self, target: Path) -> None:
        self.path = path_of_part(target)
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StepFailed(f"{self.path} cannot be written: {in_words(error)}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StepFailed(
                f"{self.path}: another step downloads the same file; run them one after the other"
            ) from error
        self.size = os.fstat(self._fd).st_size

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def shorten(self, size: int) -> None:
        """Forget what is behind the first `size` bytes; all, if there are not as many."""
        self.size = size if size <= self.size else 0
        os.ftruncate(self._fd, self.size)

    def append(self, data: bytes) -> None:
        """Write at the end."""
        try:
            while data:
                count = os.pwrite(self._fd, data, self.size)
                self.size += count
                data = data[count:]
        except OSError as error:
            raise StepFailed(f"{self.path} cannot be written after {self.size} bytes: {in_words(error)}") from error

    def refuse_without_room(self, more: int) -> None:
        """Fail now rather than fill the disk."""
        free = shutil.disk_usage(self.path.parent).free
        if more > free:
            raise StepFailed(
                f"{self.path.parent} has room for {free} bytes; {more} are to come. Make room and run again"
            )

    def sync(self) -> None:
        """What was written is there after a power cut, too."""
        os.fsync(self._fd)


def path_of_part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def digest(path: Path, tell: Callable[[int], None]) -> str:
    """SHA-256 of a file; `tell` hears now and then how many bytes have been read."""
    found, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            found.update(data)
            done += len(data)
            tell(done)
    return found.hexdigest()


def publish(part: Path, target: Path, mode: int) -> None:
    """Put the complete part under its name, for good."""
    part.chmod(mode)
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
