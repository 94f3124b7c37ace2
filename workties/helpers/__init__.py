"""Helper libraries for workties in other languages than Python: files that authors copy into their packages.

Python has `workties.Workty`; executables speak the protocol of docs/protocol.md, or none.
"""

from __future__ import annotations

from pathlib import Path

_FILES = {"nodejs": "nodejs/workty.js", "java": "java/Workty.java"}


def helper_file(language: str) -> Path | None:
    """The one file of the helper library for `language`; None if it has none."""
    name = _FILES.get(language)
    return Path(__file__).parent / name if name else None
