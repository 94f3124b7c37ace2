"""What the tests of the command line share: types of their fixtures, and what a clear error looks like."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from tests.servers.process import ServerProcess

Ended = subprocess.CompletedProcess[str]
Command = Callable[..., Ended]
Start = Callable[..., ServerProcess]

#: Seconds in which a process must stop.
STOP_SECONDS = 5


def one_line(ended: Ended, code: int) -> str:
    """The one line, on stderr, that a command said before it ended with this exit code."""
    said = ended.stderr.splitlines()
    if (ended.returncode, ended.stdout, len(said)) != (code, "", 1):
        raise AssertionError(f"expected one line on stderr and exit code {code}, got {ended}")
    return said[0]
