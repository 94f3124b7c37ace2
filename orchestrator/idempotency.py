"""Requests that are carried out once however often they are sent: who began, and what was answered (`idempotency`).

Knows nothing of HTTP. A request that was begun is never begun again within `KEPT`, even if its process died half way;
then nobody can say whether it was done, and that is what is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from orchestrator.errors import AlreadyAsked, BadParameter

#: How long a key is remembered.
KEPT = timedelta(hours=24)

#: Who has not finished after this long never will.
LONGEST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was given: status, some headers, and the body's bytes, packed by whoever keeps it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class KeptAnswers:
    """The collection `idempotency`."""

    def __init__(self, db: Database[dict[str, Any]], clock: Callable[[], datetime]) -> None:
        self._kept = db["idempotency"]
        self._clock = clock

    def begin(self, key: str, request: str) -> KeptAnswer | None:
        """Begin a request, atomically; None if nobody did before, else the answer that was given then.

        Args:
            key: who asks for what, under which key.
            request: a digest of all that was sent.

        Raises:
            AlreadyAsked: the same request is under way, or was cut off.
            BadParameter: the key was used for another request.
        """
        now = self._clock()
        mine = {"request": request, "begun": now, "expires": now + KEPT, "answer": None}
        try:
            self._kept.insert_one({"_id": key, **mine})
            return None
        except DuplicateKeyError:
            pass
        # MongoDB removes what has expired only once a minute.
        found = self._kept.find_one_and_replace({"_id": key, "expires": {"$lte": now}}, mine)
        if found is not None:
            return None
        found = self._kept.find_one({"_id": key})
        if found is None:
            raise AlreadyAsked("A request with this Idempotency-Key has just been refused. Send it again", 1)
        if found["request"] != request:
            raise BadParameter("Idempotency-Key: it was used for another request before. Choose a new one")
        return self._answer(found, now)

    def finish(self, key: str, answer: KeptAnswer) -> None:
        """Keep the answer of a request that was begun."""
        kept = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
        self._kept.update_one({"_id": key}, {"$set": {"answer": kept}})

    def forget(self, key: str) -> None:
        """The request was refused and changed nothing: it may be begun again."""
        self._kept.delete_one({"_id": key})

    def _answer(self, found: Mapping[str, Any], now: datetime) -> KeptAnswer:
        answer = found["answer"]
        if answer is not None:
            return KeptAnswer(answer["status"], answer["headers"], bytes(answer["body"]))
        if now - found["begun"] < LONGEST:
            raise AlreadyAsked("A request with this Idempotency-Key is being carried out. Ask for its answer again", 1)
        raise AlreadyAsked(
            "A request with this Idempotency-Key was cut off, and it is not known whether it was carried out. Look at "
            "what is there, and send it with a new key if it was not"
        )
