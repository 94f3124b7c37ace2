"""What a Linux system tells about itself in its files. What a system does not tell is None."""

import contextlib
import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: File systems that hold files of their own though no device is named for them.
_WITHOUT_DEVICE = frozenset({"overlay", "btrfs", "zfs", "nfs", "nfs4", "cifs", "9p", "virtiofs", "f2fs", "bcachefs"})
#: Always full, and of no interest: mounted images.
_IMAGES = frozenset({"squashfs", "iso9660", "erofs"})
#: Cores of ARM by the number that /proc/cpuinfo has for them, of boards and of servers that build for them.
_ARM = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xc08": "Cortex-A8",
    "0xc09": "Cortex-A9",
    "0xc0f": "Cortex-A15",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
}
#: What the bits say that a Raspberry Pi's firmware answers; the same bits 16 higher: since the boot.
_THROTTLING = {0: "under_voltage", 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit"}

Statvfs = Callable[[str], os.statvfs_result]


class System:
    """A running system.

    Args:
        root: where its files are; another folder than / is for trying this out.
        machine: the architecture as the kernel names it.
        statvfs: says how full a file system is.
    """

    def __init__(
        self, root: Path = Path("/"), machine: str = os.uname().machine, statvfs: Statvfs = os.statvfs
    ) -> None:
        self._root, self._machine, self._statvfs = root, machine, statvfs

    def board(self) -> dict[str, Any]:
        """Model and architecture."""
        model = self._text("proc/device-tree/model") or self._text("sys/firmware/devicetree/base/model")
        vendor, product = (self._text(f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
        pc = " ".join(part for part in (vendor, product) if part) or None
        return {"model": model.rstrip("\0") if model else pc, "architecture": self._machine}

    def distribution(self) -> dict[str, Any]:
        """Name and version of the distribution, and the kernel."""
        text = self._text("etc/os-release") or self._text("usr/lib/os-release") or ""
        found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        name, id_, version = (found.get(key, "").strip("\"'") or None for key in ("PRETTY_NAME", "ID", "VERSION_ID"))
        return {"name": name, "id": id_, "version": version, "kernel": self._text("proc/sys/kernel/osrelease")}

    def uptime(self) -> dict[str, Any]:
        """Seconds since the boot, and when it was."""
        booted = self._field("proc/stat", "btime")
        at = datetime.fromtimestamp(int(booted), UTC).isoformat() if booted else None
        return {"seconds": _number(self._text("proc/uptime")), "booted_at": at}

    def cpu(self) -> dict[str, Any]:
        """Model, cores, and load averages of 1, 5 and 15 minutes. `use_percent` needs two looks: see `ticks`."""
        text = self._text("proc/cpuinfo") or ""
        lines = [line.partition(":") for line in text.splitlines()]
        found = {key.strip(): value.strip() for key, _, value in reversed(lines)}
        model = found.get("model name") or _ARM.get(found.get("CPU part", "")) or found.get("Processor")
        cores = sum(key.strip() == "processor" for key, _, _ in lines) or None
        load = (self._text("proc/loadavg") or "").split()[:3]
        return {"model": model, "cores": cores, "load": [float(each) for each in load] or None, "use_percent": None}

    def ticks(self) -> tuple[int, int] | None:
        """How long the CPU has been busy, and how long it has been at all, in ticks since the boot."""
        times = [int(each) for each in (self._field("proc/stat", "cpu") or "").split()[:8]]
        # user, nice, system, idle, waiting for disks, interrupts (2), stolen
        return (sum(times) - times[3] - times[4], sum(times)) if len(times) == 8 else None

    def memory(self) -> dict[str, Any]:
        """Memory and swap, bytes."""
        names = {"total": "MemTotal", "available": "MemAvailable", "swap_total": "SwapTotal", "swap_free": "SwapFree"}
        found = {name: self._field("proc/meminfo", f"{field}:") for name, field in names.items()}
        return {name: int(text.split()[0]) * 1024 if text else None for name, text in found.items()}

    def disks(self) -> list[dict[str, Any]] | None:
        """File systems with files of their own, each once, where it is mounted nearest to the root.

        In a sandbox / is none of them, but what is lent from the board's own, as /usr, is on one of its disks.
        """
        mounts: dict[str, tuple[str, str, str]] = {}
        for line in (self._text("proc/self/mountinfo") or "").splitlines():
            before, _, after = line.partition(" - ")
            number, where = before.split()[2], _unescaped(before.split()[4])
            kind, device = after.split()[:2]
            real = device.startswith("/dev/") or kind in _WITHOUT_DEVICE
            if real and kind not in _IMAGES and len(where) < len(mounts.get(number, (where + "/", "", ""))[0]):
                mounts[number] = (where, device, kind)
        found = [disk for disk in (self._disk(*mount) for mount in mounts.values()) if disk]
        return sorted(found, key=lambda disk: str(disk["mount"])) or None

    def temperatures(self) -> list[dict[str, Any]] | None:
        """What each sensor measures, degrees Celsius."""
        found = []
        for zone in self._entries("sys/class/thermal", "thermal_zone*"):
            degrees = _number(self._text(f"{zone}/temp"))
            if degrees is not None:
                found.append({"sensor": self._text(f"{zone}/type"), "celsius": degrees / 1000})
        return found or None

    def throttling(self) -> dict[str, Any] | None:
        """Whether a Raspberry Pi runs slower than it could, and why; now and since its boot."""
        text = self._text("sys/devices/platform/soc/soc:firmware/get_throttled") or self._vcgencmd()
        if not text or not re.fullmatch(r"(0x)?[0-9a-fA-F]+", text):
            return None
        bits = int(text, 16)
        now = [name for bit, name in _THROTTLING.items() if bits >> bit & 1]
        return {"now": now, "since_boot": [name for bit, name in _THROTTLING.items() if bits >> (bit + 16) & 1]}

    def _vcgencmd(self) -> str | None:
        """The firmware's answer, where its program is and may ask."""
        program = next((str(found) for found in self._root.glob("usr/bin/vcgencmd")), None)
        if program is None:
            return None
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
            return done.stdout.strip().removeprefix("throttled=")
        return None

    def _disk(self, mount: str, device: str, kind: str) -> dict[str, Any] | None:
        try:
            found = self._statvfs(mount)
        except OSError:  # not ours to see
            return None
        total, available = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        return {"mount": mount, "device": device, "type": kind, "total": total, "available": available}

    def _entries(self, folder: str, pattern: str = "*") -> list[str]:
        return sorted(str(found.relative_to(self._root)) for found in (self._root / folder).glob(pattern))

    def _text(self, path: str) -> str | None:
        """What a file says, None if it is not there or has nothing to say."""
        try:
            return (self._root / path).read_text("utf-8", "replace").strip() or None
        except OSError:
            return None

    def _field(self, path: str, name: str) -> str | None:
        """The rest of the first line that begins with this word."""
        for line in (self._text(path) or "").splitlines():
            word, _, rest = line.partition(" ")
            if word == name:
                return rest.strip()
        return None


def _number(text: str | None) -> float | None:
    """The number with which a text begins."""
    try:
        return float(text.split()[0]) if text else None
    except ValueError:
        return None


def _unescaped(path: str) -> str:
    r"""A path as it is: /proc writes a space in it as \040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
