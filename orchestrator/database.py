"""The connection to MongoDB, the indexes of the contract's collections, and which errors mean that it is away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo import ASCENDING, IndexModel, MongoClient
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from orchestrator.errors import Unavailable

Document = dict[str, Any]
#: Indexes by collection.
Indexes = Mapping[str, Sequence[IndexModel]]

#: Errors that say nothing about the request, only that the database cannot answer now; see `is_away` for others.
UNREACHABLE: tuple[type[Exception], ...] = (ConnectionFailure, ExecutionTimeout, WaitQueueTimeoutError, WTimeoutError)
#: Numbers of errors of a write that a primary's step-down or shutdown cut off. The driver repeats one once, and what
#: fails again, or may not be repeated, comes as an error of that write.
_CUT_OFF = frozenset({91, 189, 10107, 11600, 11602, 13435, 13436})


def connect(url: str, *, timeout_seconds: float = 5.0) -> Database[Document]:
    """The database that `url` names (`workty` if it names none). Connects when first used.

    Writes are acknowledged by a majority and its journal; dates are aware, in UTC. An operation waits
    `timeout_seconds` for a server that can take it, then raises an error that `is_away`.
    """
    client: MongoClient[Document] = MongoClient(
        url,
        appname="workty",
        tz_aware=True,
        w="majority",
        journal=True,
        retryWrites=True,
        retryReads=True,
        connectTimeoutMS=round(timeout_seconds * 1000),
        serverSelectionTimeoutMS=round(timeout_seconds * 1000),
        # A server that hangs, rather than being gone, is noticed after this and the time to connect.
        heartbeatFrequencyMS=2000,
        waitQueueTimeoutMS=round(timeout_seconds * 1000),
    )
    return client.get_default_database("workty")


def is_away(error: BaseException) -> bool:
    """Whether an error says that the database cannot answer now; nobody knows then whether a write was done."""
    if isinstance(error, BulkWriteError):
        told = error.details or {}
        found = [*told.get("writeErrors", ()), *told.get("writeConcernErrors", ())]
        return any(each.get("code") in _CUT_OFF for each in found)
    return isinstance(error, UNREACHABLE) or (isinstance(error, OperationFailure) and error.code in _CUT_OFF)


@contextmanager
def reachable() -> Iterator[None]:
    """Turns the database's absence inside the block into `Unavailable`."""
    try:
        yield
    except PyMongoError as error:
        if is_away(error):
            raise Unavailable("The database") from error
        raise


def create_indexes(db: Database[Document], *more: Indexes) -> None:
    """Create the indexes of the contract's collections and of `more`. Those that exist are left alone."""
    for indexes in (INDEXES, *more):
        for collection, models in indexes.items():
            db[collection].create_indexes(list(models))


def _index(name: str, *fields: str, **options: Any) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in fields], name=name, **options)


_UNIQUE_NAME = (_index("name", "name", unique=True),)
_UNIQUE_CHILD = (_index("name_in_parent", "parentId", "name", unique=True),)

#: Indexes of the collections of the REST contract, section 7, and of tokens. Lists are read in order of creation.
INDEXES: Indexes = {
    "accounts": (
        _index("email", "emailKey", unique=True),
        _index("by_creation", "created", "_id"),
        _index("name", "name"),
        _index("unfinished_purchases", "purchases.since", sparse=True),
    ),
    "login_failures": (_index("expiry", "expires", expireAfterSeconds=0),),
    "audit": (
        _index("expiry", "expires", expireAfterSeconds=0),
        _index("by_creation", "created", "_id"),
        _index("of_account", "accountId", "created", "_id"),
        _index("about", "entityId", "created", "_id"),
    ),
    "payment_transactions": (
        _index("of_account", "accountId", "created", "_id"),
        _index("by_creation", "created", "_id"),
    ),
    "tokens": (_index("account", "accountId"), _index("expiry", "expires", expireAfterSeconds=0)),
    "run_logs": (
        _index("in_order", "runId", "seq", unique=True),
        _index("as_sent", "runId", "instance", "attempt", "board", "boardSeq", unique=True),
        _index("expiry", "expires", expireAfterSeconds=0),
    ),
    "idempotency": (_index("expiry", "expires", expireAfterSeconds=0),),
    "workflows": (_index("of_account", "accountId", "created", "_id"), _index("by_creation", "created", "_id")),
    "workty_instances": (_index("of_workflow", "workflowId"), _index("of_workty", "worktyId")),
    "workties": (
        _index("of_account", "accountId", "created", "_id"),
        _index("templates", "template", "created", "_id"),
        _index("by_creation", "created", "_id"),
        _index("package", "package.sha256"),
    ),
    "workty_versions": (
        _index("of_workty", "worktyId", "version", unique=True),
        _index("newest", "worktyId", "created", "_id"),
        _index("package", "sha256"),
    ),
    "packages": (_index("released", "released", partialFilterExpression={"released": {"$exists": True}}),),
    "ui_settings": (
        _index("of_workflow", "workflowId"),
        _index("account_workflow", "accountId", "workflowId", unique=True),
    ),
    "workty_types": _UNIQUE_NAME,
    "workty_validation_states": _UNIQUE_NAME,
    "workty_instance_states": _UNIQUE_NAME,
    "device_states": _UNIQUE_NAME,
    "acl_permissions": _UNIQUE_NAME,
    "acl_resources": _UNIQUE_NAME,
    "acl_roles": _UNIQUE_NAME,
    "workty_categories": _UNIQUE_CHILD,
    "workty_language_types": _UNIQUE_CHILD,
}
