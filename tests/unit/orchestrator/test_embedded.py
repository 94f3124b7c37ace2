"""The embedded database behaves like the real one where the project relies on it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import DeleteOne, IndexModel, InsertOne, ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from orchestrator.embedded import embedded_database

Db = Database[dict[str, Any]]


@pytest.fixture
def db() -> Db:
    return embedded_database()


def test_a_lease_is_taken_by_one_of_many_threads(db: Db) -> None:
    db["leases"].insert_many([{"free": True} for _ in range(20)])

    def take(worker: int) -> object:
        return db["leases"].find_one_and_update(
            {"free": True}, {"$set": {"free": False, "by": worker}}, return_document=ReturnDocument.AFTER
        )

    with ThreadPoolExecutor(8) as pool:
        taken = [lease for lease in pool.map(take, range(40)) if lease]
    assert len(taken) == 20
    assert len({lease["_id"] for lease in taken}) == 20  # type: ignore[index]


def test_a_partial_unique_index_counts_only_what_its_filter_matches(db: Db) -> None:
    index = IndexModel([("workflow", 1)], name="one_active", unique=True, partialFilterExpression={"active": True})
    assert db["runs"].create_indexes([index]) == ["one_active"]
    db["runs"].insert_many([{"workflow": 1, "active": False}, {"workflow": 1, "active": True}])
    with pytest.raises(DuplicateKeyError):
        db["runs"].insert_one({"workflow": 1, "active": True})
    db["runs"].insert_one({"workflow": 1, "active": False})


def test_dates_come_back_aware_and_documents_stay_though_their_time_has_passed(db: Db) -> None:
    db["tokens"].create_indexes([IndexModel([("expires", 1)], name="expires", expireAfterSeconds=0)])
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    db["tokens"].insert_one({"expires": long_ago})
    found = db["tokens"].find_one({"expires": {"$lte": long_ago + timedelta(seconds=1)}})
    assert found is not None
    assert found["expires"] == long_ago


def test_a_cursor_sorts_skips_and_limits_by_methods_and_by_arguments(db: Db) -> None:
    db["n"].insert_many([{"n": n} for n in (3, 1, 2, 4)])
    chained = db["n"].find({}, {"_id": False}).sort("n", -1).skip(1).limit(2)
    assert list(chained) == list(db["n"].find({}, {"_id": False}, sort=[("n", -1)], skip=1, limit=2))
    assert [row["n"] for row in db["n"].find(sort=[("n", -1)], skip=1, limit=2)] == [3, 2]


def test_bulk_writes_count_what_they_did_and_stop_at_the_first_error(db: Db) -> None:
    requests: list[Any] = [
        InsertOne({"_id": 1}),
        UpdateOne({"_id": 1}, {"$set": {"a": 1}}),
        UpdateOne({"_id": 2}, {"$set": {"a": 1}}, upsert=True),
        DeleteOne({"_id": 1}),
    ]
    done = db["b"].bulk_write(requests)
    assert (done.inserted_count, done.modified_count, done.upserted_count, done.deleted_count) == (1, 1, 1, 1)
    again: list[Any] = [InsertOne({"_id": 2}), InsertOne({"_id": 3})]
    with pytest.raises(BulkWriteError):
        db["b"].bulk_write(again)
    assert db["b"].distinct("_id") == [2]


def test_operations_can_be_counted() -> None:
    seen: list[tuple[str, str]] = []
    db = embedded_database(observe=lambda collection, operation: seen.append((collection, operation)))
    db["a"].insert_one({})
    list(db["a"].find())
    assert seen == [("a", "insert_one"), ("a", "find")]
