"""Headers for browsers: what pages of other sites may do (CORS, off by default), and what answers may do there."""

from __future__ import annotations

from collections.abc import Collection

from flask import Flask, Response, request

#: Answers are data: nothing in them may be run, framed or guessed at.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
#: The reference's page brings scripts and styles of its own, from this server only.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
#: A year, in seconds.
HSTS = "max-age=31536000"

ALLOWED_HEADERS = (
    "Authorization, Content-Type, accept-version, X-HTTP-Method-Override, Idempotency-Key"  # what clients may send
)
EXPOSED_HEADERS = "Location, Records-count, Retry-After, Idempotency-Replayed"


def add_headers(app: Flask, origins: Collection[str]) -> None:
    """Add the headers to every answer of an application.

    Args:
        origins: whose pages may use the API, e.g. `https://pages.example`; none: only its own.
    """
    allowed = frozenset(origins)

    def complete(response: Response) -> Response:
        for name, value in SECURITY.items():
            response.headers.setdefault(name, value)
        page = response.mimetype == "text/html" and response.status_code < 400
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if page else DATA_POLICY)
        if response.mimetype == "application/json":
            response.headers.setdefault("Cache-Control", "no-store")
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", HSTS)
        if allowed:
            _allow(response, allowed)
        return response

    app.after_request(complete)


def _allow(response: Response, allowed: frozenset[str]) -> None:
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin", "")
    if origin not in allowed:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = "600"
