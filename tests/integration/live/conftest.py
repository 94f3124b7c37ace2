"""The servers of the unit tests of the live API, on a real MongoDB."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from orchestrator.core import utc_now
from tests.integration.rest.conftest import tables_database, tables_operations  # noqa: F401
from tests.unit.api.conftest import World, ann, bob, live_url, new_world  # noqa: F401


@pytest.fixture
def world(tables_database: Database[dict[str, Any]]) -> World:  # noqa: F811 - the fixture
    """A seeded server on the database, which is emptied before."""
    return _world(tables_database, real_engine=False)


@pytest.fixture
def engine_world(tables_database: Database[dict[str, Any]]) -> World:  # noqa: F811 - the fixture
    """The same with the real run engine."""
    return _world(tables_database, real_engine=True)


def _world(database: Database[dict[str, Any]], *, real_engine: bool) -> World:
    for name in database.list_collection_names():
        database[name].delete_many({})
    found = new_world(database, real_engine=real_engine)
    # The database removes tokens that have expired by its own clock.
    found.clock.now = utc_now()
    return found
