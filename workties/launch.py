"""Runs one Python workty: `python -m workties.launch ENTRY`, as boards start it.

The file is run as `python ENTRY` would run it. If it defines a subclass of `Workty`, that class is then run; a file
without one was a plain program and has done its work. Exit codes: 0 complete or paused, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import io
import os
import sys
from types import ModuleType

from workties.channel import open_channel, read_input
from workties.errors import BadWorkty, StepFailed

TYPE_CHECKING = False  # as in typing, whose import every step would pay for
if TYPE_CHECKING:
    from types import TracebackType

    from workties.sdk import Workty


def main(arguments: list[str]) -> int:
    """Run the file that `arguments` names, return the exit code.

    Of the traceback of what the workty raises its own part is printed: the rest tells its author nothing.
    """
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m workties.launch ENTRY\n")
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    # Before the file runs, so that nothing it starts inherits the descriptors.
    channel = open_channel(os.environ)
    module = load(os.path.realpath(arguments[0]))
    try:
        workty = workty_class(module)
        if workty is not None:
            workty(read_input(os.environ), channel).run()
    except (BadWorkty, StepFailed) as error:
        sys.stderr.write(f"{error}\n")
        code = error.exit_code if isinstance(error, StepFailed) else 1
        return code if 0 < code < 256 else 1
    except Exception as error:
        shown = error.with_traceback(_own_part(error.__traceback__))
        sys.excepthook(type(shown), shown, shown.__traceback__)
        return 1
    return 0


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first line on that is not of this package; all of it if every line is."""
    library, found = os.path.dirname(__file__) + os.sep, trace  # noqa: PTH120
    while found and found.tb_frame.f_code.co_filename.startswith(library):
        found = found.tb_next
    return found or trace


def load(path: str) -> ModuleType:
    """Run the file at `path` as the main module, with its folder first in the search path, and return it."""
    sys.path.insert(0, os.path.dirname(path))  # noqa: PTH120  (pathlib costs as much to import as all else here)
    sys.argv = [path]
    module = ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    with open(path, "rb") as file:  # noqa: PTH123
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, vars(module))  # noqa: S102  (what this module is for)
    return module


def workty_class(module: ModuleType) -> type[Workty] | None:
    """The one subclass of `Workty` that `module` defines itself, None if it defines none.

    Raises:
        BadWorkty: it defines several.
    """
    sdk = sys.modules.get("workties.sdk")
    if sdk is None:
        return None
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, sdk.Workty) and value.__module__ == module.__name__
    ]
    if len(found) > 1:
        names = ", ".join(sorted(value.__name__ for value in found))
        raise BadWorkty(f"{module.__file__} defines {names}; leave one of them and move the others to another file")
    return found[0] if found else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
