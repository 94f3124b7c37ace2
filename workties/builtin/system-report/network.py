"""Network interfaces: names, addresses, state, traffic."""

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Linux' request for the first IPv4 address of an interface, and for its mask.
_ADDRESS, _MASK = 0x8915, 0x891B
_NAME_BYTES = 16

Ipv4 = Callable[[str], str | None]


def ipv4_of(name: str) -> str | None:
    """The first IPv4 address of an interface, with the length of its prefix; None if it has none."""
    request = struct.pack("256s", name.encode()[: _NAME_BYTES - 1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            address, mask = (
                socket.inet_ntoa(fcntl.ioctl(asked.fileno(), number, request)[20:24]) for number in (_ADDRESS, _MASK)
            )
        except OSError:
            return None
    return ipaddress.ip_interface(f"{address}/{mask}").with_prefixlen


def interfaces(root: Path = Path("/"), ipv4: Ipv4 = ipv4_of) -> list[dict[str, Any]] | None:
    """All interfaces of the network in which this program is; None where the system does not say.

    Args:
        root: where the system's files are.
        ipv4: says the IPv4 address of an interface.
    """
    try:
        lines = (root / "proc/net/dev").read_text().splitlines()[2:]
    except OSError:
        return None
    return [_interface(root, line, ipv4) for line in lines]


def _interface(root: Path, line: str, ipv4: Ipv4) -> dict[str, Any]:
    name, _, rest = line.partition(":")
    name, counts = name.strip(), rest.split()
    first = ipv4(name)
    return {
        "name": name,
        "state": _text(root / "sys/class/net" / name / "operstate"),
        "mac": _text(root / "sys/class/net" / name / "address"),
        "addresses": [*([first] if first else []), *_ipv6(root, name)],
        "rx_bytes": int(counts[0]),
        "tx_bytes": int(counts[8]),
    }


def _ipv6(root: Path, name: str) -> Iterator[str]:
    for line in (_text(root / "proc/net/if_inet6") or "").splitlines():
        digits, _, prefix, _, _, found = line.split()
        if found == name:
            yield f"{ipaddress.IPv6Address(int(digits, 16))}/{int(prefix, 16)}"


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None
