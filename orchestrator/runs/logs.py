"""What the steps of runs wrote, in MongoDB: stored once each, numbered a run, bounded, and read in their order.

One document of `run_logs` is one message of lines. Its `seq` counts the messages of its run (live API contract, section
6: `logSeq`) from 1 without gaps: who stores a message takes the number after the last one, and a unique index lets only
one have it. Another unique index, on what the board named the message by, stores a message that is delivered twice only
once. A message is forgotten some days after it was stored; only a run that goes on after all of its messages are gone
begins at 1 again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from orchestrator.errors import Contended
from orchestrator.live import LogWritten
from orchestrator.runs.store import Origin
from orchestrator.selection import Selection, Sort
from orchestrator.values import is_id
from workties.messages import Log

#: What is kept of one run: messages, and bytes of text with `LINE_BYTES` for each line beside it.
MAX_MESSAGES = 10_000
MAX_RUN_BYTES = 16 * 1024 * 1024
LINE_BYTES = 64
#: Most lines that one message can say were dropped; a board may claim any number.
MAX_DROPPED = 10**9
#: Lost races against other writers before giving up. Every lost race means that somebody else got on.
TRIES = 50
#: Code of MongoDB for a value that a unique index has already.
DUPLICATE = 11000

FULL = (
    f"The log of a run keeps {MAX_MESSAGES} messages and {MAX_RUN_BYTES // 1024**2} MiB. "
    "What was written from here on was dropped"
)

IN_ORDER: Sort = (("seq", ASCENDING),)

Document = dict[str, Any]
#: Instance, attempt, board and the board's number of a message.
Key = tuple[str, int, str, int]


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log of a run is: the last number, bytes kept so far, and whether nothing more is taken."""

    seq: int = 0
    size: int = 0
    full: bool = False


class RunLogs:
    """The collection `run_logs`."""

    def __init__(self, database: Database[Document]) -> None:
        self._logs = database["run_logs"]

    # --- writing

    def add(self, origin: Origin, messages: Sequence[Log], now: datetime, expires: datetime) -> list[LogWritten]:
        """Store messages of a run behind those that are there, those of an attempt in the order of its board.

        Args:
            now: when they came, UTC.
            expires: when they may be forgotten, UTC.

        Returns:
            What is now in the log, in order, with those of `messages` that had been stored before; they keep their
            numbers. What goes beyond the bounds of a run is not among it; its lines are counted as dropped, each time
            that they come.

        Raises:
            Contended: others stored each time.
        """
        waiting = _in_order(messages)
        found: dict[int, LogWritten] = {}
        for _ in range(TRIES):
            head = self._head(origin.id)
            if head.full:
                found |= self._known(origin.id, waiting)
                self._count_dropped(origin.id, head.seq, waiting.values())
                return [found[seq] for seq in sorted(found)]
            documents = _numbered(origin, head, list(waiting.values()), now, expires)
            try:
                self._logs.insert_many(documents)
            except BulkWriteError as error:
                if not _was_beaten(error.details):
                    raise
                found |= self._known(origin.id, waiting)
                if waiting:
                    continue
                documents = []
            found |= {document["seq"]: _written(document) for document in documents}
            return [found[seq] for seq in sorted(found)]
        raise Contended(str(origin.id))

    def _head(self, run_id: ObjectId) -> Head:
        last = self._logs.find_one({"runId": run_id}, {"seq": 1, "size": 1, "full": 1}, sort=[("seq", DESCENDING)])
        return Head() if last is None else Head(last["seq"], last["size"], last.get("full", False))

    def _known(self, run_id: ObjectId, waiting: dict[Key, Log]) -> dict[int, LogWritten]:
        """Take out of `waiting` what is stored already; returns it by its numbers."""
        places = zip(("instance", "attempt", "board", "boardSeq"), zip(*map(_place, waiting), strict=True), strict=True)
        documents = self._logs.find({"runId": run_id, **{name: {"$in": list(set(seen))} for name, seen in places}})
        stored = [document for document in documents if waiting.pop(_key(document), None) is not None]
        return {document["seq"]: _written(document) for document in stored}

    def _count_dropped(self, run_id: ObjectId, last: int, messages: Collection[Log]) -> None:
        if dropped := _lines(messages):
            self._logs.update_one({"runId": run_id, "seq": last}, {"$inc": {"dropped": dropped}})

    # --- reading

    def after(self, run_id: str, seq: int, limit: int) -> list[LogWritten]:
        """At most `limit` messages of a run whose number is above `seq`, in order. Unknown runs have none."""
        if not is_id(run_id):
            return []
        where = {"runId": ObjectId(run_id), "seq": {"$gt": seq}}
        return [_written(document) for document in self._logs.find(where, sort=[("seq", ASCENDING)], limit=limit)]

    def last_seq(self, run_id: str) -> int:
        """The number of the last message of a run that is kept; 0 if none is."""
        return self._end(run_id, DESCENDING)

    def oldest_seq(self, run_id: str) -> int:
        """The number of the oldest message of a run that is kept; 0 if none is."""
        return self._end(run_id, ASCENDING)

    def select(self, run_id: ObjectId, selection: Selection) -> list[Document]:
        """The wanted messages of a run, in order unless sorted otherwise."""
        found = self._logs.find(
            selection.mongo_filter({"runId": run_id}),
            sort=selection.mongo_sort(IN_ORDER),
            skip=selection.skip,
            limit=selection.limit,
        )
        return list(found)

    def tail(self, run_id: ObjectId, count: int) -> list[Document]:
        """The last `count` lines of a run, each with its `instance` and `attempt`."""
        found = self._logs.find(
            {"runId": run_id, "lines.0": {"$exists": True}},
            {"instance": 1, "attempt": 1, "lines": {"$slice": -count}},
            sort=[("seq", DESCENDING)],
            limit=count,
        )
        lines = [
            {"instance": message["instance"], "attempt": message["attempt"], **line}
            for message in reversed(list(found))
            for line in message["lines"]
        ]
        return lines[-count:]

    def _end(self, run_id: str, way: int) -> int:
        if not is_id(run_id):
            return 0
        found = self._logs.find_one({"runId": ObjectId(run_id)}, {"seq": 1}, sort=[("seq", way)])
        return 0 if found is None else int(found["seq"])


def _was_beaten(details: Mapping[str, Any]) -> bool:
    """Whether a write failed only because somebody else has stored the message, or taken its number, before."""
    problems = details["writeErrors"]
    known = {problem["code"] for problem in problems} == {DUPLICATE}
    return known and not details.get("writeConcernErrors")


def _in_order(messages: Sequence[Log]) -> dict[Key, Log]:
    """Messages by their keys, each once: attempts as they came, messages of an attempt by the board's numbers."""
    attempts: dict[Key, dict[Key, Log]] = {}
    for message in messages:
        key = (message.instance, message.attempt, message.board, message.seq)
        attempts.setdefault((*key[:3], 0), {}).setdefault(key, message)
    return {key: own[key] for own in attempts.values() for key in sorted(own)}


def _numbered(origin: Origin, head: Head, messages: list[Log], now: datetime, expires: datetime) -> list[Document]:
    """Documents of `messages` behind `head`; the last one says so where the bounds are reached."""
    documents: list[Document] = []
    seq, size = head.seq, head.size
    for index, message in enumerate(messages):
        seq, size = seq + 1, size + _size(message)
        common = {
            "runId": origin.id,
            "workflowId": origin.workflow,
            "accountId": origin.account,
            "seq": seq,
            "instance": ObjectId(message.instance),
            "attempt": message.attempt,
            "board": message.board,
            "at": now,
            "expires": expires,
        }
        if seq >= MAX_MESSAGES or size > MAX_RUN_BYTES:
            line = {"at": _text(now), "stream": "log", "text": FULL}
            told = {"boardSeq": 0, "size": size, "full": True, "lines": [line], "dropped": _lines(messages[index:])}
            return [*documents, common | told]
        lines = [{"at": line.at, "stream": line.stream, "text": line.text} for line in message.lines]
        dropped = min(message.dropped, MAX_DROPPED)
        documents.append(common | {"boardSeq": message.seq, "size": size, "lines": lines, "dropped": dropped})
    return documents


def _size(message: Log) -> int:
    return sum(len(line.text.encode()) + LINE_BYTES for line in message.lines)


def _lines(messages: Collection[Log]) -> int:
    """How many lines are lost if these messages are."""
    return sum(len(message.lines) + min(message.dropped, MAX_DROPPED) for message in messages)


def _place(key: Key) -> tuple[ObjectId, int, str, int]:
    return (ObjectId(key[0]), *key[1:])


def _key(document: Mapping[str, Any]) -> Key:
    return (str(document["instance"]), document["attempt"], document["board"], document["boardSeq"])


def _written(document: Mapping[str, Any]) -> LogWritten:
    return LogWritten(
        account=str(document["accountId"]),
        workflow=str(document["workflowId"]),
        run=str(document["runId"]),
        instance=str(document["instance"]),
        attempt=document["attempt"],
        seq=document["seq"],
        lines=document["lines"],
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
