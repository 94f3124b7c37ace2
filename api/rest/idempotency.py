"""The header Idempotency-Key: the same request, sent twice, is carried out once and answered the same way."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import re
from collections.abc import Callable

from flask import Response, g, request
from pymongo.errors import PyMongoError

from api.rest.answers import answer
from orchestrator.accounts.account import Account
from orchestrator.errors import BadParameter, OrchestratorError, TooLarge, Unavailable
from orchestrator.idempotency import KeptAnswer, KeptAnswers

log = logging.getLogger("workty.api")

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

#: Largest body of a request with a key, bytes: its answer must fit into a document of the database.
MAX_BODY = 4 * 1024 * 1024

#: Told once, so no replay has it.
TOLD_ONCE = "initialPassword"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Idempotency:
    """Carries requests with a key out once."""

    def __init__(self, kept: KeptAnswers) -> None:
        self._kept = kept

    def once(self, account: Account, serve: Callable[[], Response]) -> Response:
        """The answer of `serve`, or the one that the same request got before.

        Raises what `serve` raises, `AlreadyAsked`, and `BadParameter` for a key that is none or belongs to another
        request.
        """
        key = request.headers.get(HEADER)
        if key is None or not _counts():
            return serve()
        if not _KEY.fullmatch(key):
            raise BadParameter(f"{HEADER}: expected 1 to 255 visible ASCII characters")
        if (request.content_length or 0) > MAX_BODY:
            raise TooLarge
        mark = _digest(str(account.id), request.method, request.path, key)
        before = self._kept.begin(mark, _digest(json.dumps(g.parameters.merged, sort_keys=True)))
        return self._carry_out(mark, serve) if before is None else _replayed(before)

    def _carry_out(self, mark: str, serve: Callable[[], Response]) -> Response:
        try:
            response = serve()
        except OrchestratorError as error:
            # While the database or the broker goes away nobody knows how far it came; all other errors change nothing.
            if not isinstance(error, Unavailable):
                self._kept.forget(mark)
            raise
        try:
            self._kept.finish(mark, _packed(response))
        except PyMongoError:
            log.warning("An answer could not be kept; the same request is not carried out again")
        return response


def _counts() -> bool:
    """Whether the key counts: creating, and running a workflow. A token is never kept, so it is issued every time."""
    if request.method == "PUT":
        return request.path.endswith("/running")
    return request.method == "POST" and not request.path.endswith("/tokens")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _packed(response: Response) -> KeptAnswer:
    data = response.get_data()
    if TOLD_ONCE.encode() in data:
        record = {name: value for name, value in json.loads(data).items() if name != TOLD_ONCE}
        data = answer(record, pretty=g.parameters.pretty).get_data()
    headers = {name: response.headers[name] for name in ("Location", "Content-Type") if name in response.headers}
    return KeptAnswer(response.status_code, headers, gzip.compress(data, 1))


def _replayed(kept: KeptAnswer) -> Response:
    return Response(gzip.decompress(kept.body), kept.status, {**kept.headers, REPLAYED: "true"})
