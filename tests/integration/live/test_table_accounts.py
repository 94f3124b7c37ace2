"""Accounts over the live API: the tests of the embedded database on a real MongoDB."""

# The tests and fixtures are collected by their names.
# ruff: noqa: F403

from __future__ import annotations

import pytest

from tests.integration.rest.conftest import world  # noqa: F401
from tests.unit.api.test_live_accounts import *

pytestmark = pytest.mark.real
