"""What the tests of runs share."""

from __future__ import annotations

import pytest

from tests.unit.orchestrator.runs.world import World


@pytest.fixture
def world() -> World:
    """An installation without boards and workflows, at the beginning of 2026."""
    return World()
