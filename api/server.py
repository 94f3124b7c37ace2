"""The web application, and the two ways to serve it: threads in this process, or gunicorn."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from threading import Thread
from typing import Any

from flask import Flask
from flask_socketio import SocketIO
from gunicorn.app.base import BaseApplication
from werkzeug.serving import WSGIRequestHandler, make_server

from api.live.channel import Channel
from api.live.server import LiveApi
from api.live.telling import Telling
from api.rest.api import add_rest
from api.services import Services
from api.settings import ApiSettings
from orchestrator.errors import BadSettings

log = logging.getLogger("workty.api")

#: Milliseconds after which a connection ends whose client takes nothing of what is sent to it (RFC 5482).
STUCK_MILLISECONDS = 30_000
#: Largest message of a live client, bytes (live API contract, section 2).
MAX_MESSAGE = 1024 * 1024


def create_app(
    services: Services, settings: ApiSettings | None = None, telling: Telling | None = None
) -> tuple[Flask, SocketIO]:
    """The application with REST and live API, and its Socket.IO server.

    Args:
        telling: what the services' audience tells; it begins here. None where nothing is told.
    """
    chosen, telling = settings or ApiSettings(), telling or Telling(Channel())
    channel, history = telling.channel, telling.begin(services)
    app = Flask("workty", static_folder=None)
    add_rest(app, services, chosen)
    options: dict[str, Any] = {} if channel.queue is None else {"client_manager": channel.queue}
    if chosen.cors_origins:
        options["cors_allowed_origins"] = [chosen.public_url, *chosen.cors_origins]
    # Requests of one client are handled one after another, by the thread that reads them.
    options |= {"async_handlers": False, "max_http_buffer_size": MAX_MESSAGE}
    socketio = SocketIO(app, namespaces="*", async_mode="threading", **options)
    live = LiveApi(socketio, services, chosen, channel.hub, history=history, settle=telling.news.settle)
    if channel.queue is not None:
        channel.queue.missed = live.recheck
        # Else the library begins to listen with the first client, who misses what is told meanwhile.
        socketio.server.manager_initialized = True
        socketio.server.manager.initialize()
    return app, socketio


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `BadSettings` if the address cannot be listened on, e.g. because it is in use."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        problem = f"{host}:{port} cannot be listened on: {why}. Choose another --host or --port"
        raise BadSettings([problem]) from error
    # What is accepted inherits both. Else the second of two short messages waits 40 ms for the first one's receipt, and
    # a client that reads nothing any more keeps a thread for ever.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MILLISECONDS)
    return listener


class ThreadedServer:
    """Serves an application from threads of this process, for `workty up` and tests.

    Args:
        listener: a socket that listens already, so that its port is known before the application is made.
    """

    def __init__(self, app: Flask, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self._server = make_server(host, port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())
        listener.close()
        # Open connections, e.g. websockets, do not keep the process alive.
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._server.block_on_close = False  # type: ignore[attr-defined]
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name="api", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on, chosen by the system if 0 was asked for."""
        return self._server.port

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve_threaded(app: Flask, listener: socket.socket) -> ThreadedServer:
    """A started server on a socket that listens already."""
    server = ThreadedServer(app, listener)
    server.start()
    return server


class _QuietHandler(WSGIRequestHandler):
    """HTTP/1.1, one request a connection, and no line of log for each."""

    protocol_version = "HTTP/1.1"

    def run_wsgi(self) -> None:
        """Serve the request, then close: after a websocket, what still comes in must not be read as requests."""
        super().run_wsgi()
        self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Only for those who look for errors."""
        log.debug(message, *args)


def serve_gunicorn(
    make_app: Callable[[], Flask], listener: socket.socket, threads: int, tls: tuple[str, str] | None = None
) -> None:
    """Serve with one gunicorn worker of `threads` threads until SIGTERM or SIGINT; then end within 5 s.

    A websocket occupies a thread as long as it is open.

    Args:
        make_app: makes the application, in the worker: connections and threads do not survive the fork.
        listener: a socket that listens already, so that an address in use is known before anything else is done.
        tls: files with certificate and key, for HTTPS.
    """
    options = {
        "bind": f"fd://{listener.detach()}",
        "workers": 1,
        "worker_class": "gthread",
        "threads": threads,
        "graceful_timeout": 2,
        "accesslog": None,
        "loglevel": "warning",
        "limit_request_field_size": 16384,
        **({"certfile": tls[0], "keyfile": tls[1]} if tls else {}),
    }
    server = os.getpid()
    try:
        _Gunicorn(make_app, options).run()
    except SystemExit as ended:
        # Its worker is a fork of this process and ends in the same way; only the server goes on behind this call.
        if ended.code or os.getpid() != server:
            raise


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    def __init__(self, make_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._make_app()
