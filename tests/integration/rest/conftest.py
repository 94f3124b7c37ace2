"""The server of the unit tests, on a real MongoDB."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from threading import current_thread
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from tests.servers import mongod as mongod_server
from tests.unit.api.conftest import NEWS, World, ann, bob, new_world  # noqa: F401

#: Commands that read or write a collection.
_OPERATIONS = frozenset({"find", "aggregate", "insert", "update", "delete", "findAndModify"})


class Operations(monitoring.CommandListener):
    """Writes down which collection is read or written, and how."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Note an operation."""
        if event.command_name in _OPERATIONS and current_thread().name != NEWS:
            self.seen.append((str(event.command[event.command_name]), event.command_name))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Noted already."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Noted already."""


@pytest.fixture(scope="session")
def tables_operations() -> Operations:
    """What is asked of the database for the tables."""
    return Operations()


@pytest.fixture(scope="session")
def tables_database(
    mongod: mongod_server.Database, tables_operations: Operations
) -> Iterator[Database[dict[str, Any]]]:
    """A database for all tests of the tables: making one for each would take longer than the test."""
    url = mongod.url(f"workty-tables-{secrets.token_hex(6)}")
    # Not as durable as a server's own connection: the machine does not lose its power in a test.
    with closing(MongoClient[dict[str, Any]](url, tz_aware=True, event_listeners=[tables_operations])) as client:
        yield client.get_default_database()
    mongod_server.drop(url)


@pytest.fixture
def world(tables_database: Database[dict[str, Any]], tables_operations: Operations) -> World:
    """A seeded server on the database, which is emptied before."""
    for name in tables_database.list_collection_names():
        tables_database[name].delete_many({})
    found = new_world(tables_database)
    tables_operations.seen.clear()
    found.operations = tables_operations.seen
    return found
