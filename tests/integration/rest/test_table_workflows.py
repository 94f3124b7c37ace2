"""Workflows, runs and boards, and rules for all of them: the tests of REST on a real MongoDB."""

# The tests and fixtures are collected by their names.
# ruff: noqa: F403

from __future__ import annotations

import pytest

from tests.unit.api.test_rest_devices import *
from tests.unit.api.test_rest_idempotency import *
from tests.unit.api.test_rest_instance_changes import *
from tests.unit.api.test_rest_operation import *
from tests.unit.api.test_rest_rules import *
from tests.unit.api.test_rest_runs import *
from tests.unit.api.test_rest_workflows import *

pytestmark = pytest.mark.real
