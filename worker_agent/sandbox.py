"""bubblewrap: the command that makes the sandbox of a step. Looks at the board when the agent starts; starts nothing.

What a program finds in it: the system, read-only; its package, read-only; its home; an empty /tmp and /dev/shm; its own
processes only; and no network, unless it is granted. Nothing else of the board's files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from worker_agent.process import library_folder

#: What /tmp and /dev/shm of a step may hold, bytes each. They are memory.
TMPFS_BYTES = 64 * 1024 * 1024

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_READ_ONLY = ("/opt", "/sys")
_NODES = ("null", "zero", "full", "random", "urandom", "tty")
#: Of /etc only what programs need to find libraries, certificates, fonts, types, names and the time. It is copied once:
#: every path that is shown costs each step a part of a millisecond.
_ETC = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "fonts", "group", "host.conf", "hosts"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "magic", "mime.types"),
    *("nsswitch.conf", "os-release", "passwd", "pki", "protocols", "services", "ssl", "timezone"),
)
_ETC_PATTERNS = ("java-*", "python3*")
#: Empty without network.
_RESOLVER = Path("/etc/resolv.conf")
_PROC_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1"}
_PROC_LINKS["stderr"] = "/proc/self/fd/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of the board a step sees beyond the system.

    Attributes:
        directory: the step's directory, with `package` and `home`.
        network: the board's network.
        shared: folders to read and write.
        devices: devices to use.
    """

    directory: Path
    network: bool = False
    shared: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """What a sandbox is made from: where bubblewrap is, whether the agent is root, and folders that programs need.

    `etc` is what programs see as /etc; `links` are top-level links as the board has them, e.g. /bin to usr/bin;
    `read_only` all other paths.
    """

    bwrap: str
    root: bool
    etc: Path
    links: tuple[tuple[str, str], ...]
    read_only: tuple[Path, ...]


def look_at_host(bwrap: str, etc: Path) -> Host:
    """What this board has. Copies of /etc what steps may see to the folder `etc`, which is made anew."""
    _copy_etc(etc)
    system = [Path(name) for name in _SYSTEM if Path(name).exists()]
    links = tuple((str(path.readlink()), str(path)) for path in system if path.is_symlink())
    found = [Path("/usr"), *(path for path in system if not path.is_symlink()), *map(Path, _READ_ONLY)]
    found += [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve(), library_folder() / "workties"]
    return Host(bwrap, os.getuid() == 0, etc, links, tuple(_outermost(path for path in found if path.exists())))


def command(host: Host, view: View) -> tuple[str, ...]:
    """The command that makes the sandbox with this view, up to `--info-fd` and the program."""
    home, package = view.directory / "home", view.directory / "package"
    parts = [
        (host.bwrap, "--die-with-parent", "--new-session", "--clearenv"),
        ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        () if view.network else ("--unshare-net",),
        () if host.root else ("--unshare-user",),
        *(("--symlink", target, name) for target, name in host.links),
        ("--proc", "/proc"),
        *_devices(view.devices),
        _tmpfs("/tmp"),  # noqa: S108  (the sandbox's own)
        *(_bound("--ro-bind", path) for path in host.read_only),
        ("--ro-bind", str(host.etc), "/etc"),
        ("--ro-bind-try", str(_RESOLVER), str(_RESOLVER)) if view.network else (),
        *(_bound("--bind", path) for path in view.shared),
        _bound("--ro-bind", view.directory / "input.json"),
        _bound("--ro-bind", package),
        _bound("--bind", home),
        ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"),
    ]
    return tuple(word for part in parts for word in part)


def _copy_etc(etc: Path) -> None:
    shutil.rmtree(etc, ignore_errors=True)
    etc.mkdir()
    etc.chmod(0o755)
    found = [Path("/etc", name) for name in _ETC]
    found += [path for pattern in _ETC_PATTERNS for path in sorted(Path("/etc").glob(pattern))]
    for path in found:
        with contextlib.suppress(OSError, shutil.Error):  # what may not be read is not for steps
            if path.is_dir():
                shutil.copytree(path, etc / path.name, symlinks=True, ignore=shutil.ignore_patterns("private"))
            elif path.exists():
                shutil.copy(path, etc / path.name)
    (etc / _RESOLVER.name).touch()


def _outermost(paths: Iterable[Path]) -> Iterable[Path]:
    """Without those that are below an earlier one."""
    kept: list[Path] = []
    for path in paths:
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return kept


def _bound(kind: str, path: Path) -> tuple[str, ...]:
    """Show `path` at its own place, below folders that every account may pass."""
    folders = [("--perms", "0755", "--dir", str(folder)) for folder in reversed(path.parents) if folder != Path("/")]
    return (*(word for folder in folders for word in folder), kind, str(path), str(path))


def _tmpfs(path: str) -> tuple[str, ...]:
    return ("--perms", "1777", "--size", str(TMPFS_BYTES), "--tmpfs", path)


def _devices(lent: Iterable[Path]) -> Iterable[tuple[str, ...]]:
    """A small /dev. Not bubblewrap's own: for that it puts a second user namespace into the first."""
    yield ("--tmpfs", "/dev")
    for name in _NODES:
        yield ("--dev-bind-try", f"/dev/{name}", f"/dev/{name}")
    for name, target in _PROC_LINKS.items():
        yield ("--symlink", target, f"/dev/{name}")
    yield _tmpfs("/dev/shm")  # noqa: S108
    for path in lent:
        yield _bound("--dev-bind", path)
