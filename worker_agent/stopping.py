"""The wish to stop an agent, as something that signal handlers may set and event loops can watch."""

from __future__ import annotations

import os
import select


class StopSignal:
    """Set once, never cleared. Needs no lock, so that a signal handler may set it while the same thread waits."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def set(self) -> None:
        """Stop."""
        if self._fd >= 0:
            os.eventfd_write(self._fd, 1)

    def is_set(self) -> bool:
        """Whether to stop."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait for it; whether it is set."""
        readable, _, _ = select.select([self._fd], [], [], seconds)
        return bool(readable)

    def fileno(self) -> int:
        """Readable from when it is set."""
        return self._fd

    def close(self) -> None:
        """Nobody waits any more."""
        os.close(self._fd)
        self._fd = -1
