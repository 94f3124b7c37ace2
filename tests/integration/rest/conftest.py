"""The server of the unit tests, on a real MongoDB."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Tables
from tests.unit.api.conftest import World, ann, bob  # noqa: F401


@pytest.fixture
def world(tables: Tables) -> World:
    """A seeded server."""
    return tables.world()
