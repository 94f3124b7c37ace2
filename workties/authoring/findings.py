"""What a check finds: a mistake or something doubtful, in a line of a file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake, or with `warning` something doubtful. `file` is relative to the package; line 0 is the whole file."""

    file: str
    line: int
    text: str
    warning: bool = False

    def __str__(self) -> str:
        """As compilers say it."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {'warning: ' if self.warning else ''}{self.text}"
