"""Requests over HTTP for workties: http and https only, certificates checked, few redirects followed.

What is asked for, how often, and what an answer means is up to the workty.
"""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, cast
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from workties.errors import StepFailed, WorktyError

#: Most redirects that are followed.
MAX_REDIRECTS = 5
_PIECE = 64 * 1024
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t -~\xa0-\xff]*")


class NoAnswer(WorktyError):
    """A server did not answer, or not to the end. The message says why in a few words.

    Attributes:
        never_sent: no server can have got the request.
    """

    def __init__(self, problem: str, *, never_sent: bool = False) -> None:
        super().__init__(problem)
        self.never_sent = never_sent


class _Redirects(request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS

    def redirect_request(self, req: request.Request, *answer: Any) -> request.Request | None:
        found = super().redirect_request(req, *answer)
        if found is not None and (found.type, found.host) != (req.type, req.host):
            found.headers.clear()  # they may hold secrets, which were meant for the first server
        return found


def ask(wanted: request.Request, timeout: float) -> HTTPResponse:
    """The server's answer, whatever its status; to be closed. `timeout`: seconds that the server may be silent.

    After a redirect to another server the headers of the request are not sent to that one.

    Raises:
        NoAnswer: there is none.
    """
    opener = request.OpenerDirector()
    for handler in (
        *(request.HTTPHandler(), request.HTTPSHandler(), request.UnknownHandler()),
        *(_Redirects(), request.HTTPErrorProcessor(), request.HTTPDefaultErrorHandler()),
    ):
        opener.add_handler(handler)
    try:
        return cast("HTTPResponse", opener.open(wanted, timeout=timeout))
    except HTTPError as answer:
        return cast("HTTPResponse", answer)  # which it is, but for its type
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        never_sent = isinstance(reason, ConnectionRefusedError | socket.gaierror)
        raise NoAnswer(in_words(error), never_sent=never_sent) from error


def read_body(answer: HTTPResponse, until: float = math.inf) -> Iterator[bytes]:
    """The body of an answer, piece by piece. `until`: when (`time.monotonic`) it must be there.

    Raises:
        NoAnswer: it breaks off, or is not there in time.
    """
    while True:
        try:
            data = answer.read1(_PIECE)
        except (OSError, HTTPException) as error:
            raise NoAnswer(in_words(error)) from error
        if not data and answer.length:
            raise NoAnswer(f"the connection ended {answer.length} bytes before the end")
        if time.monotonic() > until:
            raise NoAnswer("the answer took too long")
        if not data:
            return
        yield data


def checked_url(url: str, name: str = "url") -> str:
    """`url` itself. Raises `StepFailed`, which names the property, if it is no address for a request."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or not all("!" <= letter <= "~" for letter in url):
        raise StepFailed(
            f"Property '{name}': expected http://host/path or https://host/path, in ASCII, without spaces and account"
        )
    return url


def checked_headers(headers: object, name: str = "headers") -> dict[str, str]:
    """Headers of a request as texts. Raises `StepFailed`, which names the property, if they are none."""
    if not isinstance(headers, Mapping):
        raise StepFailed(f"Property '{name}': expected an object of texts")
    for key, value in headers.items():
        text = isinstance(value, str | int | float) and _HEADER_VALUE.fullmatch(str(value))
        if not text or not _HEADER_NAME.fullmatch(key):
            raise StepFailed(f"Property '{name}': {key!r} is no header, or its value is no text of one line")
    return {key: str(value) for key, value in headers.items()}


def shown(url: str) -> str:
    """An address for people: without its query, which may hold secrets."""
    return re.split("[?#]", url, maxsplit=1)[0]


def in_words(error: BaseException) -> str:
    """What an error of the network says, without its number."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return in_words(reason)
    return str(getattr(error, "strerror", None) or reason or error or type(error).__name__)
