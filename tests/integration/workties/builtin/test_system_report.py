"""system-report: on the files of a Raspberry Pi 4, of a PC, of a system that tells nothing, and of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.workties.builtin.loading import FOLDER, module_of, properties_of
from workties.protocol import Line, LogText

Start = Callable[..., Any]
States = Callable[[list[Line]], list[str]]

MAIN = FOLDER / "system-report" / "main.py"
PARTS = {"board", "os", "uptime", "cpu", "memory", "disks", "temperatures", "network", "throttling"}

NET_DEV = """\
Inter-|   Receive                                           |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:    1200   12    0    0    0     0          0         0     1200   12    0    0    0     0       0          0
  eth0: 5000000 4000    0    1    0     0          0         0   700000 3000    0    0    0     0       0          0
 wlan0:       0    0    0    0    0     0          0         0        0    0    0    0    0     0       0          0
"""
PI = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-v8\n",
    "proc/cpuinfo": "".join(f"processor\t: {n}\nBogoMIPS\t: 108.00\nCPU part\t: 0xd08\n\n" for n in range(4))
    + "Revision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
    "proc/loadavg": "0.52 0.58 0.59 1/211 12345\n",
    "proc/stat": "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\nbtime 1700000000\n",
    "proc/uptime": "86400.25 300000.00\n",
    "proc/meminfo": "MemTotal:  3884000 kB\nMemAvailable: 3000000 kB\nSwapTotal: 102396 kB\nSwapFree: 0 kB\n",
    "proc/self/mountinfo": (
        "20 1 0:18 / / rw - tmpfs tmpfs rw\n"
        "21 20 179:2 /usr /usr ro - ext4 /dev/mmcblk0p2 rw\n"
        "22 20 179:2 /etc/resolv.conf /etc/resolv.conf ro - ext4 /dev/mmcblk0p2 rw\n"
        "23 20 179:1 / /boot/firmware rw shared:9 - vfat /dev/mmcblk0p1 rw\n"
        "24 20 8:1 / /media/my\\040disk rw - ext4 /dev/sda1 rw\n"
        "25 20 7:0 / /snap/core ro - squashfs /dev/loop0 ro\n"
        "26 20 0:20 / /proc rw - proc proc rw\n"
    ),
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48686\n",
    "sys/class/thermal/cooling_device0/type": "gpio-fan\n",
    "proc/net/dev": NET_DEV,
    "proc/net/if_inet6": "fe800000000000000000000000000001 02 40 20 80     eth0\n",
    "sys/class/net/eth0/operstate": "up\n",
    "sys/class/net/eth0/address": "dc:a6:32:00:00:01\n",
    "sys/class/net/wlan0/operstate": "down\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
}
PC = {
    "sys/class/dmi/id/sys_vendor": "LENOVO\n",
    "sys/class/dmi/id/product_name": "20XW\n",
    "usr/lib/os-release": "PRETTY_NAME=Arch Linux\nID=arch\n",
    "proc/cpuinfo": "processor : 0\nmodel name : Intel(R) N100\n\nprocessor : 1\nmodel name : Intel(R) N100\n",
    "proc/self/mountinfo": "20 1 0:30 / / rw - overlay overlay rw\n21 20 259:2 / /home rw - ext4 /dev/nvme0n1p2 rw\n",
    "sys/class/thermal/thermal_zone0/temp": "none\n",
    "sys/class/thermal/thermal_zone1/temp": "-1500\n",
}
GIB = 1024**3


def given(**properties: Any) -> dict[str, Any]:
    return properties_of("system-report", **properties)


def statvfs(path: str) -> Any:
    if path == "/home":
        raise PermissionError(path)
    return SimpleNamespace(f_blocks=32 * GIB // 4096, f_bavail=8 * GIB // 4096, f_frsize=4096)


@pytest.fixture
def system(tmp_path: Path) -> Callable[[dict[str, str], str], Any]:
    """The system with these files and this architecture."""

    def make(files: dict[str, str], machine: str) -> Any:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        return module_of("system-report", "system.py").System(tmp_path, machine, statvfs)

    return make


def test_a_raspberry_pi_tells_everything(system: Callable[..., Any]) -> None:
    found = system(PI, "aarch64")
    assert found.board() == {"model": "Raspberry Pi 4 Model B Rev 1.4", "architecture": "aarch64"}
    assert found.distribution() == {
        "name": "Debian GNU/Linux 12 (bookworm)",
        "id": "debian",
        "version": "12",
        "kernel": "6.6.31+rpt-rpi-v8",
    }
    assert found.uptime() == {"seconds": 86400.25, "booted_at": "2023-11-14T22:13:20+00:00"}
    assert found.cpu() == {"model": "Cortex-A72", "cores": 4, "load": [0.52, 0.58, 0.59], "use_percent": None}
    assert found.ticks() == (150, 1000)
    kib = {"total": 3884000, "available": 3000000, "swap_total": 102396, "swap_free": 0}
    assert found.memory() == {name: value * 1024 for name, value in kib.items()}
    assert found.temperatures() == [{"sensor": "cpu-thermal", "celsius": 48.686}]
    assert found.throttling() == {
        "now": ["under_voltage", "throttled"],
        "since_boot": ["under_voltage", "throttled"],
    }


def test_in_a_sandbox_the_disks_are_those_of_what_the_board_lends(system: Callable[..., Any]) -> None:
    sizes = {"total": 32 * GIB, "available": 8 * GIB}
    assert system(PI, "aarch64").disks() == [
        {"mount": "/boot/firmware", "device": "/dev/mmcblk0p1", "type": "vfat", **sizes},
        {"mount": "/media/my disk", "device": "/dev/sda1", "type": "ext4", **sizes},
        {"mount": "/usr", "device": "/dev/mmcblk0p2", "type": "ext4", **sizes},
    ]


def test_a_pc_tells_what_it_has(system: Callable[..., Any]) -> None:
    found = system(PC, "x86_64")
    assert found.board() == {"model": "LENOVO 20XW", "architecture": "x86_64"}
    assert found.distribution() == {"name": "Arch Linux", "id": "arch", "version": None, "kernel": None}
    assert found.cpu() == {"model": "Intel(R) N100", "cores": 2, "load": None, "use_percent": None}
    assert found.temperatures() == [{"sensor": None, "celsius": -1.5}]
    assert [disk["mount"] for disk in found.disks()] == ["/"]
    assert found.throttling() is None


def test_a_system_that_tells_nothing_is_no_failure(system: Callable[..., Any]) -> None:
    found = system({}, "riscv64")
    assert found.board() == {"model": None, "architecture": "riscv64"}
    assert set(found.distribution().values()) == {None}
    assert found.uptime() == {"seconds": None, "booted_at": None}
    assert set(found.cpu().values()) == {None}
    assert set(found.memory().values()) == {None}
    assert [found.ticks(), found.disks(), found.temperatures(), found.throttling()] == [None] * 4


@pytest.mark.parametrize(
    ("answer", "now"), [("throttled=0x1", ["under_voltage"]), ("VCHI initialization failed", None)]
)
def test_where_the_kernel_is_silent_the_firmware_is_asked(
    system: Callable[..., Any], tmp_path: Path, answer: str, now: list[str] | None
) -> None:
    found = system({"usr/bin/vcgencmd": f"#!/bin/sh\n[ $1 = get_throttled ] && echo '{answer}'\n"}, "armv7l")
    (tmp_path / "usr/bin/vcgencmd").chmod(0o755)
    throttling = found.throttling()
    assert (throttling and throttling["now"]) == now


def test_interfaces_have_addresses_state_and_traffic(system: Callable[..., Any], tmp_path: Path) -> None:
    system(PI, "aarch64")
    interfaces = module_of("system-report", "network.py").interfaces
    ipv4 = {"lo": "127.0.0.1/8", "eth0": "192.168.1.7/24"}
    traffic = {"rx_bytes": 0, "tx_bytes": 0}
    assert interfaces(tmp_path, ipv4.get)[1:] == [
        {
            "name": "eth0",
            "state": "up",
            "mac": "dc:a6:32:00:00:01",
            "addresses": ["192.168.1.7/24", "fe80::1/64"],
            "rx_bytes": 5000000,
            "tx_bytes": 700000,
        },
        {"name": "wlan0", "state": "down", "mac": None, "addresses": [], **traffic},
    ]
    assert interfaces(tmp_path / "nowhere") is None


def test_the_loopback_of_this_machine_has_its_address() -> None:
    found = {each["name"]: each for each in module_of("system-report", "network.py").interfaces()}
    assert "127.0.0.1/8" in found["lo"]["addresses"]
    assert found["lo"]["rx_bytes"] >= 0


def test_the_report_of_this_machine_has_all_parts(start: Start, states: States) -> None:
    program = start(MAIN, **given(sample_seconds=0.1))
    lines = program.lines()
    assert program.end() == (0, "", "")
    assert states(lines) == ["identifying", "measuring", "reporting"]
    output = lines[-1].output
    assert set(output) == PARTS
    assert output["board"]["architecture"] == os.uname().machine
    assert output["uptime"]["seconds"] > 0
    assert output["cpu"]["cores"] >= 1
    assert 0 <= output["cpu"]["use_percent"] <= 100
    assert output["memory"]["total"] > output["memory"]["available"] > 0
    assert all(disk["total"] >= disk["available"] for disk in output["disks"])
    assert {line.text.split(":")[0] for line in lines if isinstance(line, LogText)} == PARTS


def test_only_what_is_wanted_is_reported(start: Start) -> None:
    output = start(MAIN, **given(only=["memory", "os"])).lines()[-1].output
    assert list(output) == ["os", "memory"]


@pytest.mark.parametrize("only", ["cpu", ["cpus"]])
def test_a_part_that_there_is_not_is_explained(start: Start, only: Any) -> None:
    program = start(MAIN, **given(only=only))
    program.lines()
    code, _, stderr = program.end()
    assert code == 1
    assert "Property 'only': expected a list of board, os, uptime, cpu, memory, disks, temp" in stderr
    assert f"got {only!r}" in stderr
