"""What the transports have to be told by whoever starts them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`public_url` is the server as clients see it.

    The others are those of `orchestrator.settings.ServerSettings`.
    """

    public_url: str = "http://127.0.0.1:9999"
    cors_origins: tuple[str, ...] = ()
    rate_limit: str = "110 per second"
    rate_limit_storage: str = "memory://"
    rate_limit_loopback: bool = False
    metrics_public: bool = False
    trusted_proxies: int = 0

    def error_link(self, code: int | str) -> str:
        """Where an error is explained."""
        return f"{self.public_url.rstrip('/')}/errors/v1/{code}"
