"""Calls of Linux that Python 3.11 does not offer. Each raises `OSError` as those of `os` do."""

from __future__ import annotations

import ctypes
import os
from functools import cache

_PDEATHSIG, _DUMPABLE, _NAME, _CHILD_SUBREAPER, _NO_NEW_PRIVS = 1, 4, 15, 36, 38
_CAPABILITY_VERSION = 0x20080522


def end_with_parent(number: int) -> None:
    """Have this process get the signal `number` when its parent ends. A change of account forgets it."""
    _prctl(_PDEATHSIG, number)


def set_dumpable(dumpable: bool) -> None:
    """Whether other processes of the same account may read memory and environment of this one."""
    _prctl(_DUMPABLE, int(dumpable))


def set_name(name: str) -> None:
    """Have lists of processes show this one under a name of at most 15 characters."""
    _check(_libc().prctl(_NAME, name.encode(), 0, 0, 0), "prctl name")


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose parent ends."""
    _prctl(_CHILD_SUBREAPER, 1)


def refuse_privileges() -> None:
    """Neither this process nor what it starts can get further rights, e.g. by `sudo`."""
    _prctl(_NO_NEW_PRIVS, 1)


def join_namespaces(pidfd: int, kinds: int) -> None:
    """Enter the namespaces of these kinds (`CLONE_NEW...`) that a process is in; pid namespaces count for children."""
    _check(_libc().setns(pidfd, kinds), "setns")


def drop_capabilities() -> None:
    """Give up every right of root that this process has, e.g. within a user namespace."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _check(_libc().capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _prctl(option: int, value: int) -> None:
    _check(_libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def _check(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
