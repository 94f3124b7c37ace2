"""What apt-get says, and the commands for it. Pure: runs nothing."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_INSTALL = re.compile(r"Inst (\S+) (?:\[([^\]]+)\] )?\((\S+) ([^\[]*)\[")
_LOCKED = re.compile(r"Could not get lock|lock was locked by|Unable to (acquire|lock)")
_HELD = "The following packages have been kept back:"
#: A package's configuration that was changed by hand stays as it is.
_KEEP = ("--force-confdef", "--force-confold")

#: Finishes what an installation that was cut short left behind.
CONFIGURE = ("dpkg", *_KEEP, "--configure", "-a")


def command(action: Sequence[str], *options: str, lock_timeout: float) -> list[str]:
    """apt-get that asks nothing, waits for its lock so many seconds, and does `action`."""
    settings = [f"DPkg::Lock::Timeout={lock_timeout:.0f}", *(f"Dpkg::Options::={keep}" for keep in _KEEP)]
    return ["apt-get", "-q", "-y", *(part for each in settings for part in ("-o", each)), *options, *action]


def as_root(words: Sequence[str], user: int) -> list[str]:
    """A command as the user with this number has to run it. What is set for it does not pass through sudo itself."""
    return list(words) if user == 0 else ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive", *words]


def upgrade(names: Iterable[str]) -> list[str]:
    """The action that updates these packages, or all of them if there are none. It never removes a package."""
    found = sorted(names)
    return ["install", "--only-upgrade", "--no-remove", "--", *found] if found else ["upgrade", "--with-new-pkgs"]


def planned(lines: Iterable[str]) -> list[dict[str, Any]]:
    """What a simulation would install: name, `from` (None for a new package), `to`, and whether it is for security."""
    found = (_INSTALL.match(line) for line in lines)
    return [
        {"name": name, "from": old, "to": new, "security": "security" in origin.lower()}
        for name, old, new, origin in (match.groups() for match in found if match)
    ]


def held_back(lines: Iterable[str]) -> list[str]:
    """Packages that a simulation leaves as they are."""
    names: list[str] = []
    inside = False
    for line in lines:
        inside = line.startswith("  ") if inside else False
        names += line.split() if inside else []
        inside = inside or line == _HELD
    return names


def progress(line: str) -> tuple[float, str] | None:
    """How far apt-get is, 0 to 1, and at what; None if the line does not tell."""
    kind, _, rest = line.partition(":")
    parts = rest.split(":", 2)
    if kind not in ("dlstatus", "pmstatus") or len(parts) < 3:
        return None
    try:
        return float(parts[1]) / 100, parts[2]
    except ValueError:
        return None


def is_locked(lines: Iterable[str]) -> bool:
    """Whether a command failed because another program uses apt or dpkg."""
    return any(_LOCKED.search(line) for line in lines)


def reason(lines: Sequence[str]) -> str:
    """Why a command failed: its errors, else its last line."""
    errors = [line for line in lines if line.startswith(("E:", "dpkg: error"))]
    return " ".join(errors[-3:]) or (lines[-1] if lines else "it said nothing")


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment in which apt-get asks nothing and speaks the language that is read here."""
    return {**given, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
