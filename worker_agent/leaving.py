"""The end of a workty in a forked interpreter: as any program's, but without tearing down what it never used.

Threads are waited for, tracebacks printed and exit functions called as always; then, instead of taking thousands of
modules' objects apart, which costs more than a small step, files are flushed and the process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
from _io import _IOBase  # io.IOBase is an abstract class, and slow to ask
from collections.abc import Callable


class Leaving:
    """Remembers the exit code of `run`, and ends the process with it. To be made before anything else is imported."""

    def __init__(self) -> None:
        self._code: int | None = None
        atexit.register(self._leave)  # the first one registered is called last

    def run(self, main: Callable[[], int]) -> int:
        """Call `main`; what it raises is raised here."""
        try:
            self._code = main()
        except KeyboardInterrupt:  # ends a program by a signal, which is left to Python
            raise
        except SystemExit as error:
            self._code = _exit_code(error.code)
            raise
        except BaseException:
            self._code = 1
            raise
        return self._code

    def _leave(self) -> None:
        if self._code is None:
            return
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            return  # Python knows what to say and how to end
        vars(sys.modules["__main__"]).clear()
        gc.collect()
        for found in gc.get_objects():  # without those that were there before the fork
            if isinstance(found, _IOBase):
                with contextlib.suppress(Exception):
                    found.flush()
        os._exit(self._code & 0xFF)


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    return code if isinstance(code, int) else 1
