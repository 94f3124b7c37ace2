"""Runs a command and ends all that comes of it, daemons too, when its standard input is closed.

Started by `tests.servers.process` as a program of its own. Its input closes however the tests end, even by SIGKILL, so
no server outlives them. It reports `pid <n>` and `exit <n>` on standard output. It knows nothing of what it runs.

Usage: guard.py DIRECTORY COMMAND...; DIRECTORY is removed unless `keep` was written to the input before it was closed.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def children(parent: int) -> list[int]:
    """Ids of the processes whose parent is `parent`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == parent:
            found.append(int(entry.parent.name))
    return found


def end_when_input_closes(directory: str) -> None:
    """Wait for the end of input, then kill every descendant and leave."""
    keep = sys.stdin.read().strip() == "keep"
    while left := children(os.getpid()):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)  # the main thread collects them; their own children become ours meanwhile
    if not keep:
        shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


def reap(leader: int) -> None:
    """Collect ended children until there is none left, and report the leader's end."""
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return
        if pid == leader:
            with contextlib.suppress(
                OSError
            ):  # nobody is left to be told; the others have to be collected all the same
                os.write(1, f"exit {os.waitstatus_to_exitcode(status)}\n".encode())


def main(directory: str, *command: str) -> None:
    """Run `command` in a session of its own; orphans of it become children of this process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    leader = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True).pid
    print(f"pid {leader}", flush=True)
    ending = threading.Thread(target=end_when_input_closes, args=(directory,))
    ending.start()
    reap(leader)
    ending.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
