"""How much the home of a step holds. No file system that boards have bounds a folder, so somebody has to look."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: Least time between two looks, seconds.
INTERVAL = 2.0
#: A look may take at most this part of the time: a home with very many files is looked at less often.
_SHARE = 0.02


class Room:
    """Looks at a home from time to time.

    What a program has opened and removed is not seen; each such file is bounded by the system (`Limits.files`).

    Args:
        home: the folder.
        limit: bytes that it may hold.
        clock: seconds that only grow.
    """

    def __init__(self, home: Path, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._home, self._limit, self._clock = home, limit, clock
        self._next = clock() + INTERVAL

    @property
    def next_look(self) -> float:
        """When it is time to look, on the clock."""
        return self._next

    def is_exceeded(self) -> bool:
        """Whether the home held more than its limit, if it is time to look; False if it is not."""
        began = self._clock()
        if began < self._next:
            return False
        found = held(self._home, self._limit)
        ended = self._clock()
        self._next = ended + max(INTERVAL, (ended - began) / _SHARE)
        return found > self._limit


def held(folder: Path, enough: int) -> int:
    """Bytes of disk that all below `folder` takes, counted up to the first that makes it more than `enough`."""
    total = 0
    for size in _sizes(str(folder)):
        total += size
        if total > enough:
            break
    return total


def _sizes(folder: str) -> Iterator[int]:
    """Of every file and folder below; no link is followed. What vanishes, or may not be read, is left out."""
    folders = [folder]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                except OSError:
                    continue
                yield found.st_blocks * 512
