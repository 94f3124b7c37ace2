"""The broker as a board sees it: how to connect, and what its refusals mean. Holds no connection."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kombu import Connection

#: Seconds to wait for a connection, and for the broker's confirmation of an event.
TIMEOUT = 5.0
#: Waits between two tries to connect, seconds: the first and the longest; each is twice the one before. When the
#: broker comes back, what ended meanwhile is to be recorded within 10 s, and a board heard before the server calls it
#: disconnected.
FIRST_WAIT, LONGEST_WAIT = 0.5, 3.0
#: AMQP heartbeat, seconds: a connection that is silent for twice as long is lost. The board says something on it every
#: half of that.
HEARTBEAT = 10


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, with the board's account in the URL."""

    url: str = field(repr=False)
    ca_file: Path | None = None

    @property
    def is_amqp(self) -> bool:
        """Whether this is a real broker, not the in-memory transport."""
        return urlsplit(self.url).scheme in ("amqp", "amqps")

    @property
    def transport_options(self) -> dict[str, Any]:
        """Options of kombu's transport."""
        return {"confirm_publish": True} if self.is_amqp else {"polling_interval": 0.01}

    @property
    def tls(self) -> dict[str, Any] | None:
        """Options of TLS: the broker's certificate is always checked. None without TLS."""
        parts = urlsplit(self.url)
        if parts.scheme != "amqps":
            return None
        ca_file = self.ca_file or ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
        return {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": str(ca_file), "server_hostname": parts.hostname}

    def connection(self) -> Connection:
        """A connection, not yet opened."""
        return Connection(
            self.url,
            ssl=self.tls or False,
            connect_timeout=TIMEOUT,
            heartbeat=HEARTBEAT if self.is_amqp else 0,
            transport_options=self.transport_options,
        )


@contextmanager
def dropped_on_error(connection: Connection) -> Iterator[None]:
    """Drops a connection on which something goes wrong in the block.

    To close it, or a channel of it, would mean to wait for an answer, and a broker that is not heard gives none.
    """
    try:
        yield
    except BaseException:
        connection.collect()
        raise


def connect(connection: Connection) -> None:
    """Open a connection now; whoever calls decides when to try again (kombu itself waits 2 s and tries once more)."""
    connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, reraise_as_library_errors=False)


def explain(error: BaseException, board: str) -> str:
    """One line for people about why the broker cannot be used by `board`, and what to do."""
    code = getattr(error, "reply_code", None) or getattr(error, "code", None)
    said = getattr(error, "reply_text", None) or str(error) or type(error).__name__
    if code in (403, 404, 530):
        return (
            f"The broker refuses board '{board}': {said}. If the board is not yet known, add it on the server with"
            f" `workty board add NAME` and set WORKTY_BOARD_ID and WORKTY_AMQP_URL to what that prints"
        )
    return f"Board '{board}' does not reach the broker: {said}"


def wait_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row; a fleet does not come back in one moment."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 10)) * random.uniform(0.7, 1.0)  # noqa: S311
