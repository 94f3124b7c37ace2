"""Answers: records of the core as JSON texts with the headers of the contract."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from bson import ObjectId
from bson.tz_util import utc
from flask import Request, Response

#: Shorter answers are not worth compressing, bytes.
COMPRESSED_FROM = 1024

_PLAIN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE
_PRETTY = _PLAIN | orjson.OPT_INDENT_2


def answer(data: Any, status: int = 200, *, pretty: bool = True, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; it ends with a line break, for people at a terminal."""
    return Response(_json(data, pretty=pretty), status, headers, mimetype="application/json")


def compress(request: Request, response: Response) -> Response:
    """The answer, compressed if it is JSON worth the effort and the client takes it so."""
    if response.mimetype != "application/json" or response.direct_passthrough:
        return response
    response.headers.add("Vary", "Accept-Encoding")
    if request.accept_encodings["gzip"] > 0 and "Content-Encoding" not in response.headers:
        data = response.get_data()
        if len(data) >= COMPRESSED_FROM:
            response.set_data(gzip.compress(data, 5))
            response.headers["Content-Encoding"] = "gzip"
    return response


def _json(data: Any, *, pretty: bool) -> bytes:
    try:
        return orjson.dumps(data, plain, _PRETTY if pretty else _PLAIN)
    except orjson.JSONEncodeError:
        # Whole numbers of more than 64 bits, and halves of characters, which clients may have sent.
        text = json.dumps(data, default=plain, **({"indent": 2} if pretty else {"separators": (",", ":")}))
        return text.encode() + b"\n"


def plain(value: Any) -> Any:
    """An id, a date or bytes as the contract writes them. Raises `TypeError` for other values."""
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        # The database's dates are in UTC already, and there are many of them.
        moment = value if value.tzinfo is utc else value.astimezone(UTC)
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, bytes):
        return {"type": "Buffer", "data": list(value)}
    raise TypeError(f"An answer cannot hold {type(value).__name__}")
