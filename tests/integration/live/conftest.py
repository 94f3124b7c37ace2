"""The server of the unit tests, for tests of the live API that take longer."""

from __future__ import annotations

from tests.unit.api.conftest import ann, bob, live_url, world  # noqa: F401
