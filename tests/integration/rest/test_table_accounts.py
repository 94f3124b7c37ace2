"""Accounts, logins and what they may do over REST: the tests of the embedded database on a real MongoDB."""

# The tests and fixtures are collected by their names.
# ruff: noqa: F403

from __future__ import annotations

import pytest

from tests.unit.api.test_rest_account_changes import *
from tests.unit.api.test_rest_accounts import *
from tests.unit.api.test_rest_audit import *
from tests.unit.api.test_rest_logins import *
from tests.unit.api.test_rest_payments import *
from tests.unit.api.test_rest_permissions import *

pytestmark = pytest.mark.real
