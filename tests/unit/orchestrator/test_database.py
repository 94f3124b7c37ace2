"""The connection to MongoDB: what it asks for, and how its absence is told."""

from __future__ import annotations

from datetime import UTC

import pytest
from pymongo import IndexModel
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WriteError,
)

from api.rest.errors import failure_of
from orchestrator.database import connect, create_indexes, reachable
from orchestrator.embedded import embedded_database
from orchestrator.errors import Unavailable


def test_a_database_that_is_away_is_unavailable() -> None:
    db = connect("mongodb://127.0.0.1:1/workty", timeout_seconds=0.05)
    with pytest.raises(Unavailable, match="database"), reachable():
        db["accounts"].find_one({})
    db.client.close()


def test_other_errors_pass() -> None:
    with pytest.raises(DuplicateKeyError), reachable():
        raise DuplicateKeyError("twice")
    with pytest.raises(Unavailable), reachable():
        raise ServerSelectionTimeoutError


@pytest.mark.parametrize(
    "error",
    [
        WriteConcernError("operation was interrupted", 11602),
        WriteError("Not primary while writing", 189),
        BulkWriteError({"writeErrors": [{"code": 189}], "writeConcernErrors": []}),
        BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 11602}]}),
    ],
)
def test_a_write_that_a_step_down_cut_off_means_that_the_database_is_away(error: PyMongoError) -> None:
    with pytest.raises(Unavailable), reachable():
        raise error
    assert failure_of(error).status == 503


def test_writes_are_acknowledged_by_a_majority_and_dates_are_aware() -> None:
    db = connect("mongodb://127.0.0.1:1/?w=1")
    assert db.name == "workty"
    assert db.write_concern.document == {"w": "majority", "j": True}
    assert db.codec_options.tz_aware
    assert db.codec_options.tzinfo in (None, UTC) or db.codec_options.tzinfo.utcoffset(None) is not None
    db.client.close()


def test_indexes_of_others_are_created_along_and_again_without_harm() -> None:
    db = embedded_database()
    more = {"runs": [IndexModel([("n", 1)], name="number", unique=True)]}
    create_indexes(db, more)
    create_indexes(db, more)
    db["runs"].insert_one({"n": 1})
    with pytest.raises(DuplicateKeyError):
        db["runs"].insert_one({"n": 1})
    db["accounts"].insert_one({"emailKey": "a"})
    with pytest.raises(DuplicateKeyError):
        db["accounts"].insert_one({"emailKey": "a"})
