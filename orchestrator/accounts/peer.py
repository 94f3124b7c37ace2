"""Where a request comes from. Data only; a transport makes it from what it knows of its client."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection.

    Attributes:
        address: its IP address, empty if unknown.
        forwarded: whether somebody in between passed the request on, so that the address says little.
    """

    address: str = ""
    forwarded: bool = False

    @property
    def is_local(self) -> bool:
        """Whether the request was made on this machine, straight to this server."""
        address = _parsed(self.address)
        return address is not None and address.is_loopback and not self.forwarded

    @property
    def network(self) -> str:
        """What one visitor can be expected to have: an IPv4 address, or the /64 of an IPv6 one."""
        address = _parsed(self.address)
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address) if address is not None else self.address


@lru_cache(4096)
def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
