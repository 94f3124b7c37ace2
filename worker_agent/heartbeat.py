"""What a board tells about itself: how it is, what it can run, what it does. When to tell is not decided here."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import uuid
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from worker_agent.journal import Journal
from worker_agent.settings import AgentSettings
from workties.messages import Bye, Heartbeat

_THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
_MEMINFO = Path("/proc/meminfo")


def find_runtimes() -> dict[str, str]:
    """The program that runs each language that this board knows; `executable` needs none."""
    found = {"python": sys.executable, "nodejs": shutil.which("node"), "java": shutil.which("java"), "executable": ""}
    return {language: path for language, path in found.items() if path is not None}


class Vitals:
    """Makes the heartbeats of one start (boot) of the agent.

    Args:
        now: the time as ISO 8601 text.
    """

    def __init__(
        self, settings: AgentSettings, journal: Journal, runtimes: tuple[str, ...], now: Callable[[], str]
    ) -> None:
        self._settings, self._journal, self._now = settings, journal, now
        self._seq = 0
        self._lasting = {
            "board": settings.board_id,
            "boot": uuid.uuid4().hex,
            "slots": settings.slots,
            "labels": settings.labels,
            "runtimes": runtimes,
            "agent_version": _version(),
            "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        }

    def heartbeat(self) -> Heartbeat:
        """How the board is now."""
        return Heartbeat(**self._vital())

    def bye(self, reason: str) -> Bye:
        """The last word of the agent."""
        return Bye(**self._vital(), reason=reason)

    def _vital(self) -> dict[str, Any]:
        self._seq += 1
        return {
            **self._lasting,
            "id": uuid.uuid4().hex,
            "at": self._now(),
            "seq": self._seq,
            "active": self._journal.active(),
            "queued": self._journal.queued(),
            "load": os.getloadavg()[0],
            "memory": _free_memory(),
            "temperature": _temperature(),
            "disk": shutil.disk_usage(self._settings.state_dir).free,
        }


def _free_memory() -> int | None:
    """Bytes of memory that programs can still get; None where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _temperature() -> float | None:
    """Degrees Celsius; None where there is no sensor."""
    with contextlib.suppress(OSError, ValueError):
        return int(_THERMAL.read_text()) / 1000
    return None


def _version() -> str:
    try:
        return metadata.version("workty")
    except metadata.PackageNotFoundError:
        return "not installed"
