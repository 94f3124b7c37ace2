"""Gathers what is there after a storm: records of runs, and what should not be there any more."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from pymongo.database import Database

from orchestrator.boards.store import BoardStore
from orchestrator.broker import DEAD_LETTERS_QUEUE, EVENTS_QUEUE, LOGS_QUEUE
from tests.chaos.oracle import Leftovers
from tests.chaos.records import RunRecord, run_record
from tests.chaos.stack import APIS, ChaosStack
from workties.messages import board_queue, control_queue

#: Rows of a journal that wait: attempts that have not ended, and events that the broker does not have.
_WAITING = (
    "SELECT (SELECT count(*) FROM attempts WHERE phase <> 'ended') + (SELECT count(*) FROM outbox WHERE sent = 0)"
)
#: Dead letters that are looked at.
MOST_REFUSED = 50


def records(database: Database[dict[str, Any]]) -> list[RunRecord]:
    """Every run as it is stored."""
    return [run_record(document) for document in database["runs"].find()]


def leftovers(stack: ChaosStack, database: Database[dict[str, Any]]) -> Leftovers:
    """What is left over now."""
    own = {queue for board in stack.boards.values() for queue in (board_queue(board), control_queue(board))}
    own |= {EVENTS_QUEUE, LOGS_QUEUE}
    vhost = stack.real.vhost
    found = vhost.broker.management.call("GET", "queues", vhost.name)
    live = sorted(queue["name"] for queue in found if queue["name"] not in own | {DEAD_LETTERS_QUEUE})
    return Leftovers(
        leases={board.name: [lease.run for lease in board.leases] for board in BoardStore(database).all()},
        messages={queue["name"]: queue.get("messages", 0) for queue in found if queue["name"] in own},
        queues=live[len(APIS) :],  # every api process listens to one
        journals={name: _waiting(stack.board_directory(name) / "journal.db") for name in stack.boards},
        files=_files(stack),
        processes=stack.real.left_behind(),
        refused=_refused(stack),
    )


def _waiting(journal: Path) -> int:
    """Rows that wait, by a copy of the journal: SQLite finds no file on the disk of another mount namespace."""
    with TemporaryDirectory() as copy:
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(f"{journal}{suffix}", copy)
        with closing(sqlite3.connect(Path(copy, journal.name))) as database:
            try:
                count: int = database.execute(_WAITING).fetchone()[0]
            except sqlite3.DatabaseError:
                return 1  # it was written to meanwhile
    return count


def _files(stack: ChaosStack) -> list[str]:
    folders = [stack.board_directory(name) / "steps" for name in stack.boards]
    folders += [stack.temporary(name) for name in stack.real.processes]
    return [str(path) for folder in folders for path in folder.iterdir()]


def _refused(stack: ChaosStack) -> list[str]:
    """Why messages are dead letters; not those that a board could not store, which were sent again."""
    vhost = stack.real.vhost
    asked = {"count": MOST_REFUSED, "ackmode": "ack_requeue_true", "encoding": "auto"}
    try:
        found = vhost.broker.management.call("POST", "queues", vhost.name, DEAD_LETTERS_QUEUE, "get", body=asked)
    except requests.HTTPError as error:
        return [f"dead letters cannot be read: {error}"]
    headers = [letter["properties"].get("headers", {}) for letter in found]
    return [each["x-workty-reason"] for each in headers if "x-workty-reason" in each]
