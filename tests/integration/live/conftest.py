"""The servers of the unit tests of the live API, on a real MongoDB."""

from __future__ import annotations

import pytest

from orchestrator.core import utc_now
from tests.integration.conftest import Tables
from tests.unit.api.conftest import World, ann, bob, live_url  # noqa: F401


@pytest.fixture
def world(tables: Tables) -> World:
    """A seeded server."""
    return _of_today(tables.world())


@pytest.fixture
def engine_world(tables: Tables) -> World:
    """The same with the real run engine."""
    return _of_today(tables.world(real_engine=True))


def _of_today(world: World) -> World:
    """The database removes tokens that have expired by its own clock."""
    world.clock.now = utc_now()
    return world
