"""The database of all tests of the tables: a real one, which each of them finds as a fresh server has it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from threading import current_thread
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from tests.servers import mongod as mongod_server
from tests.unit.api.conftest import NEWS, World, make_fresh, new_world

_WRITING = frozenset({"insert", "update", "delete", "findAndModify"})
_READING = frozenset({"find", "aggregate"})


class Operations(monitoring.CommandListener):
    """Writes down which collection is read or written, and how."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.written: set[str] = set()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Note an operation."""
        name = event.command_name
        if name in _WRITING:
            self.written.add(str(event.command[name]))
        if name in _WRITING | _READING and current_thread().name != NEWS:
            self.seen.append((str(event.command[name]), name))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Noted already."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Noted already."""


class Tables:
    """A database that is made fresh again for each test: seeding it anew would take longer than the test.

    Parameters:
        database: empty, and written to over this object's client only.
        operations: listens to that client.
    """

    def __init__(self, database: Database[dict[str, Any]], operations: Operations) -> None:
        self._database, self._operations = database, operations
        self._fresh: Mapping[str, Sequence[dict[str, Any]]] = make_fresh(database)

    def world(self, *, real_engine: bool = False) -> World:
        """A server on the database, in which nothing is left of an earlier one."""
        for name in tuple(self._operations.written):
            self._database[name].delete_many({})
            if name in self._fresh:
                self._database[name].insert_many(self._fresh[name])
        self._operations.written.clear()
        found = new_world(self._database, real_engine=real_engine)
        self._operations.seen.clear()
        found.operations = self._operations.seen
        return found


@pytest.fixture(scope="session")
def tables(mongod: mongod_server.Database) -> Iterator[Tables]:
    """One for all tests of a process: making the indexes for each would take longer than the test."""
    operations = Operations()
    url = mongod.url(f"workty-tables-{secrets.token_hex(6)}")
    # Not as durable as a server's own connection: the machine does not lose its power in a test.
    with closing(MongoClient[dict[str, Any]](url, tz_aware=True, event_listeners=[operations])) as client:
        yield Tables(client.get_default_database(), operations)
    mongod_server.drop(url)
