"""How many requests an account, and an address, may send; and which proxies are believed who asked."""

from __future__ import annotations

import math
import time

from flask import Flask
from flask_limiter import Limiter, RateLimitExceeded
from limits import parse_many
from werkzeug.middleware.proxy_fix import ProxyFix

from api.rest.endpoint import peer
from api.settings import ApiSettings
from orchestrator.accounts.account import Account
from orchestrator.errors import TooManyRequests

TOO_MANY = "Too many requests"


def trust_proxies(app: Flask, count: int) -> None:
    """Believe `count` proxies in front what they say of who asked, and over what; nobody else."""
    if count:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


class Limits:
    """Counts requests in windows that move along. Addresses are counted first, accounts once they are known."""

    def __init__(self, app: Flask, settings: ApiSettings) -> None:
        self._limits = parse_many(settings.rate_limit)
        self._loopback = settings.rate_limit_loopback
        self._limiter = Limiter(
            lambda: peer().network or "unknown",
            app=app,
            application_limits=[settings.rate_limit],
            storage_uri=settings.rate_limit_storage,
            strategy="moving-window",
            in_memory_fallback_enabled=True,
        )
        self._limiter.request_filter(self._is_exempt)

    def check(self, account: Account) -> None:
        """Count a request of an account. Raises `TooManyRequests`."""
        if self._is_exempt():
            return
        for limit in self._limits:
            if not self._limiter.limiter.hit(limit, "account", str(account.id)):
                window = self._limiter.limiter.get_window_stats(limit, "account", str(account.id))
                raise TooManyRequests(TOO_MANY, _seconds_until(window.reset_time))

    def explain(self, error: Exception) -> Exception:
        """The error in the core's words if it is about an address that asked too often."""
        if not isinstance(error, RateLimitExceeded):
            return error
        hit = self._limiter.current_limit
        # Flask-Limiter rounds up to the second after.
        return TooManyRequests(TOO_MANY, _seconds_until(hit.reset_at - 1 if hit else 0))

    def _is_exempt(self) -> bool:
        return not self._loopback and peer().is_local


def _seconds_until(moment: float) -> int:
    """Whole seconds, at least one."""
    return max(1, math.ceil(moment - time.time()))
