"""Past runs go on a real MongoDB, as many days after they finished as is set at present."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from orchestrator.core import utc_now
from orchestrator.database import connect, create_indexes
from orchestrator.runs.retention import keep_runs
from orchestrator.runs.store import INDEXES
from tests.servers import waiting
from tests.servers.mongod import own_server

pytestmark = pytest.mark.real


@pytest.fixture
def database() -> Iterator[Database[dict[str, Any]]]:
    """A database of a server that looks every second for what is over; others do it once a minute."""
    with own_server(os.environ, ttlMonitorSleepSecs=1) as server:
        database = connect(server.url("workty"))
        with closing(database.client):
            create_indexes(database, INDEXES)
            yield database


def test_a_past_run_goes_when_its_days_are_over_and_a_latest_one_stays(database: Database[dict[str, Any]]) -> None:
    keep_runs(database, 1000.0)
    now = utc_now()
    runs = [
        {"_id": "old", "past": True, "finished": now - timedelta(days=8)},
        {"_id": "younger", "past": True, "finished": now - timedelta(days=6)},
        {"_id": "latest", "past": False, "finished": now - timedelta(days=8)},
        {"_id": "stopping", "past": True, "finished": None},
    ]
    database["runs"].insert_many([run | {"workflowId": run["_id"], "number": 1} for run in runs])
    keep_runs(database, 1000.0)
    keep_runs(database, 7.0)
    left = {"younger", "latest", "stopping"}
    waiting.until(lambda: set(database["runs"].distinct("_id")) == left, seconds=60, what="the old run to go")
    keep_runs(database, 36500.0)
    assert database["runs"].index_information()["expiry"]["expireAfterSeconds"] == 2**31 - 1, "MongoDB's bound"
