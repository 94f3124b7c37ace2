"""What a forked process does to itself before it becomes the program of a step. Every change is for good."""

from __future__ import annotations

import fcntl
import os
import resource
import signal

from worker_agent import kernel
from worker_agent.start import CONTROL, EVENTS, Start

#: Descriptor on which a program that cannot be started says why.
REPORT = 5
_ALL_DESCRIPTORS = 2**20


def confine(start: Start, descriptors: tuple[int, int, int, int], report: int) -> None:
    """Be what `start` says: session, descriptors, directory, limits, account, rights.

    Args:
        descriptors: for standard output, standard error, events and control.
        report: becomes descriptor `REPORT`; no other one stays open.

    Raises:
        OSError: something of it is not possible; the process must end then.
    """
    os.setsid()
    kernel.set_name("workty-step")
    _move((*descriptors, report), (1, 2, EVENTS, CONTROL, REPORT))
    os.closerange(REPORT + 1, _ALL_DESCRIPTORS)
    os.umask(0o022)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN if start.entry else signal.SIG_DFL)
    for kind, soft, hard in start.limits:
        _limit(kind, soft, hard)
    _become(start)
    kernel.end_with_parent(signal.SIGKILL)
    os.chdir(start.directory)  # as the account that it will be


def _become(start: Start) -> None:
    if start.account is not None:
        os.setgroups([])
        os.setresgid(start.account, start.account, start.account)
        os.setresuid(start.account, start.account, start.account)
    elif start.sandbox:
        kernel.drop_capabilities()
    if not start.privileged:
        kernel.refuse_privileges()
    kernel.set_dumpable(True)  # a change of account took it away, and with it parts of /proc/self


def _move(sources: tuple[int, ...], targets: tuple[int, ...]) -> None:
    high = [fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 64) for source in sources]
    for source, target in zip(high, targets, strict=True):
        os.dup2(source, target, inheritable=target != REPORT)


def _limit(kind: int, soft: int, hard: int) -> None:
    """Set a limit, or what the system's own one leaves of it."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))
