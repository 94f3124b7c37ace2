"""Worktys over REST: the tests of the embedded database on a real MongoDB."""

# The tests and fixtures are collected by their names.
# ruff: noqa: F403

from __future__ import annotations

import pytest

from tests.unit.api.test_rest_workties import *
from tests.unit.api.test_rest_workty_code import *
from tests.unit.api.test_rest_workty_editing import *
from tests.unit.api.test_rest_workty_properties import *
from tests.unit.api.test_rest_workty_versions import *

pytestmark = pytest.mark.real
