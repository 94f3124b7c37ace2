"""The folder that is copied to: how each thing in it is made, such that nothing half done ever has its final name."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tree import FOLDER, Descent, Visit

from workties import StepFailed

#: Folder in the target's root for what is not finished; it goes when the copy is complete.
OWN = ".workty-copy"
#: Permissions that are kept. The other bits mean something else for another owner.
MODE = 0o777
#: Bytes that are compared at once.
COMPARED = 256 * 1024
#: What file systems make of times, nanoseconds: exact, NTFS, exFAT, whole seconds, FAT.
TIME_UNITS = (1, 100, 10**7, 10**9, 2 * 10**9)


class Changed(Exception):
    """A file changed while it was read."""


class Target(Descent):
    """Where a walk through the source is in the target, locked against other copies to it.

    Args:
        token: what tells this copy from all others.
    """

    def __init__(self, root: str, token: str) -> None:
        try:
            Path(root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StepFailed(f"{root} cannot be made: {error.strerror}") from error
        super().__init__(root)
        self._token = token.encode()
        with contextlib.suppress(FileExistsError):
            os.mkdir(OWN, 0o700, dir_fd=self.folder)
        self._own = os.open(OWN, FOLDER, dir_fd=self.folder)
        try:
            fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StepFailed(f"Another step copies to {root}. Run them one after the other") from error

    def __exit__(self, *_: object) -> None:
        os.close(self._own)
        super().__exit__()

    def claim(self) -> None:
        """Begin this copy; what an earlier one left is no longer trusted."""
        with open("mark", "wb", opener=self._open_own) as mark:
            mark.write(self._token)

    def is_claimed(self) -> bool:
        """Whether this copy began here: not on another board, and not before the folder or its disk was exchanged."""
        try:
            with open("mark", "rb", opener=self._open_own) as mark:
                return mark.read(100) == self._token
        except OSError:
            return False

    def make_folder(self, visit: Visit) -> None:
        """Make a folder, if it is missing, and enter it. A file or link in its place goes."""
        found = self.find(visit.name)
        if found and not stat.S_ISDIR(found.st_mode):
            os.unlink(visit.name, dir_fd=self.folder)
            found = None
        if not found:
            os.mkdir(visit.name, 0o700, dir_fd=self.folder)
        elif found.st_mode & 0o700 != 0o700:
            os.chmod(visit.name, found.st_mode & MODE | 0o700, dir_fd=self.folder)
        self.enter(visit.name)

    def finish_folder(self, visit: Visit) -> None:
        """Leave a folder, which is complete, and give it its mode and time."""
        try:
            os.fchmod(self.folder, visit.found.st_mode & MODE)
            os.utime(self.folder, ns=_times(visit.found))
        finally:
            self.leave()

    def copy_link(self, visit: Visit) -> bool:
        """Make the same link; whether it was another one, or none."""
        to = os.readlink(visit.name, dir_fd=visit.folder)
        found = self.find(visit.name)
        if found and stat.S_ISLNK(found.st_mode) and os.readlink(visit.name, dir_fd=self.folder) == to:
            return False
        self._remove_part()
        os.symlink(to, "part", dir_fd=self._own)
        os.utime("part", ns=_times(visit.found), dir_fd=self._own, follow_symlinks=False)
        self._publish(visit.name)
        return True

    def is_unchanged(self, visit: Visit) -> bool:
        """Whether a file of this size and time is there. Gives it the mode that it should have."""
        found, wanted = self.find(visit.name), visit.found
        if not found or not stat.S_ISREG(found.st_mode) or found.st_size != wanted.st_size:
            return False
        if not any(wanted.st_mtime_ns // unit * unit == found.st_mtime_ns for unit in TIME_UNITS):
            return False
        if (found.st_mode ^ wanted.st_mode) & MODE:
            os.chmod(visit.name, wanted.st_mode & MODE, dir_fd=self.folder)
        return True

    def copy_file(self, visit: Visit, begin: int, chunk: int, tell: Callable[[int], None]) -> None:
        """Copy a file, from `begin` on, of which so many bytes have been copied before.

        Args:
            tell: hears how many bytes of it have been copied, each `chunk` bytes.

        Raises:
            Changed: it changed meanwhile, and nothing came of it.
        """
        source = os.open(visit.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=visit.folder)
        try:
            if not begin:
                self._remove_part()
            with open("part", "r+b" if begin else "wb", buffering=0, opener=self._open_own) as part:
                done = part.seek(begin)
                part.truncate()
                while data := os.pread(source, chunk, done):
                    done += part.write(data)
                    tell(done)
                if _version(os.fstat(source)) != _version(visit.found) or done != visit.found.st_size:
                    raise Changed
                os.fchmod(part.fileno(), visit.found.st_mode & MODE)
                os.utime(part.fileno(), ns=_times(visit.found))
        finally:
            os.close(source)
        self._publish(visit.name)

    def part_size(self) -> int:
        """How many bytes an interrupted copy of a file has left."""
        try:
            return os.stat("part", dir_fd=self._own, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def has_same_content(self, visit: Visit, tell: Callable[[], None]) -> bool:
        """Whether a file and its copy have the same content. `tell` is called now and then."""
        with _open_to_compare(visit.name, visit.folder) as one, _open_to_compare(visit.name, self.folder) as other:
            while True:
                data = one.read(COMPARED)
                if data != other.read(COMPARED):
                    return False
                if not data:
                    return True
                tell()

    def _remove_part(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink("part", dir_fd=self._own)

    def _publish(self, name: str) -> None:
        os.rename("part", name, src_dir_fd=self._own, dst_dir_fd=self.folder)

    def _open_own(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, 0o600, dir_fd=self._own)


def _open_to_compare(name: str, folder: int) -> BinaryIO:
    """A file as it is on the disk, not as it is remembered of having been written."""
    file = os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb")
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return file


def _times(found: os.stat_result) -> tuple[int, int]:
    return found.st_atime_ns, found.st_mtime_ns


def _version(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
