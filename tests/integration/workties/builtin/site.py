"""A small server over HTTP for tests of workties that ask one: pages by path, and what was asked for."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Page:
    """An answer. With `length`, that many bytes are announced, whatever comes."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


Answer = Callable[[Asked], Page]


class Site:
    """Serves `pages` on a free port of this machine; a page is an answer or a function that gives one.

    Args:
        context: to serve them over TLS.

    Attributes:
        asked: the requests so far.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Page | Answer] = {}
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, asked: Asked) -> Page:
        self.asked.append(asked)
        page = self.pages.get(asked.path, Page(b"not here", 404))
        return page if isinstance(page, Page) else page(asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                page = answer(Asked(self.command, self.path, dict(self.headers), self.rfile.read(size)))
                self.send_response(page.status)
                length = len(page.body) if page.length is None else page.length
                for name, value in {"Content-Length": str(length), **page.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(page.body)

            do_POST = do_PUT = do_PATCH = do_HEAD = do_DELETE = do_GET  # noqa: N815  (names of the base class)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler
