"""An embedded database for `workty up` and unit tests: mongomock behind a lock, with pymongo's methods that we use.

mongomock's operations are not atomic by themselves. Here each one runs under one lock, and a cursor is read to its end
under it, so what is atomic in MongoDB is atomic here too. Not for production: nothing is kept on disk. Not offered, as
mongomock has none: `hint`, `array_filters`, transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import RLock
from typing import Any, cast

import mongomock
from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError

Document = dict[str, Any]
#: Told the names of collection and operation before each one.
Observer = Callable[[str, str], None]
SortKeys = Sequence[tuple[str, int]]

_OPERATIONS = frozenset(
    {
        "find_one",
        "insert_one",
        "insert_many",
        "update_one",
        "update_many",
        "delete_one",
        "delete_many",
        "replace_one",
        "find_one_and_update",
        "find_one_and_replace",
        "find_one_and_delete",
        "count_documents",
        "distinct",
        "index_information",
    }
)


def embedded_database(*, observe: Observer | None = None, expire: bool = False) -> Database[Document]:
    """A new, empty database in this process's memory, to be used like pymongo's (dates come back aware, in UTC).

    Arguments:
        observe: called before each operation, e.g. to count them.
        expire: whether indexes with `expireAfterSeconds` remove documents. They go by the computer's clock, so tests
            that pass in their own time leave it off.
    """
    return cast("Database[Document]", EmbeddedDatabase(observe=observe, expire=expire))


class EmbeddedDatabase:
    """What `embedded_database` returns: collections by name that share one lock."""

    def __init__(self, *, observe: Observer | None, expire: bool) -> None:
        self._database: Any = mongomock.MongoClient(tz_aware=True)["workty"]
        self._observe = observe
        self._expire = expire
        self._lock = RLock()

    def __getitem__(self, name: str) -> EmbeddedCollection:
        return EmbeddedCollection(self._database[name], self._lock, self._observe, expire=self._expire)

    def command(self, name: str) -> Document:
        """Only `ping`, which always succeeds."""
        return dict(self._database.command(name))

    def list_collection_names(self) -> list[str]:
        """Names of the collections that were written to."""
        with self._lock:
            return list(self._database.list_collection_names())


class EmbeddedCollection:
    """A collection whose operations are atomic. Their arguments and results are pymongo's."""

    def __init__(self, inner: Any, lock: RLock, observe: Observer | None, *, expire: bool) -> None:
        self._inner = inner
        self._lock = lock
        self._observe = observe
        self._expire = expire

    @property
    def name(self) -> str:
        """Name of the collection."""
        return str(self._inner.name)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation not in _OPERATIONS:
            raise AttributeError(f"The embedded database has no operation '{operation}'")
        return lambda *args, **kwargs: self.perform(operation, lambda: getattr(self._inner, operation)(*args, **kwargs))

    def perform(self, operation: str, action: Callable[[], Any]) -> Any:
        """The result of `action`, carried out under the lock as `operation`."""
        if self._observe is not None:
            self._observe(self.name, operation)
        with self._lock:
            return action()

    def find(
        self,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - pymongo's name
        projection: Any = None,
        *,
        skip: int = 0,
        limit: int = 0,
        sort: SortKeys | None = None,
    ) -> EmbeddedCursor:
        """A cursor that reads when it is iterated."""
        return EmbeddedCursor(self, self._inner, filter, projection).sort(sort or ()).skip(skip).limit(limit)

    def aggregate(self, pipeline: Sequence[Mapping[str, Any]]) -> Iterator[Document]:
        """The results of a pipeline, computed at once."""
        return iter(self.perform("aggregate", lambda: list(self._inner.aggregate(list(pipeline)))))

    def create_indexes(self, indexes: Sequence[IndexModel]) -> list[str]:
        """Create indexes; unique ones are enforced, partial ones only where their filter matches."""
        return cast("list[str]", self.perform("create_indexes", lambda: [self._create_index(i) for i in indexes]))

    def bulk_write(self, requests: Sequence[Any], *, ordered: bool = True) -> BulkResult:
        """Carry out pymongo's write requests as one atomic step up to the first error (`ordered`) or all of them."""
        return cast(BulkResult, self.perform("bulk_write", lambda: self._bulk_write(requests, ordered=ordered)))

    def _create_index(self, index: IndexModel) -> str:
        # mongomock's create_indexes forgets partialFilterExpression.
        options = dict(index.document)
        keys = list(options.pop("key").items())
        if not self._expire:
            options.pop("expireAfterSeconds", None)
        return str(self._inner.create_index(keys, **options))

    def _bulk_write(self, requests: Sequence[Any], *, ordered: bool) -> BulkResult:
        # mongomock's bulk_write does not know the arguments that pymongo's requests pass today.
        result = BulkResult()
        errors = []
        for index, request in enumerate(requests):
            try:
                request._add_to_bulk(_Bulk(self._inner, result))
            except PyMongoError as error:
                errors.append({"index": index, "code": getattr(error, "code", None), "errmsg": str(error)})
                if ordered:
                    break
        if errors:
            raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": []})
        return result


class EmbeddedCursor:
    """A query that is sent when it is first iterated; the documents are then all read at once."""

    def __init__(
        self, collection: EmbeddedCollection, inner: Any, filter_: Mapping[str, Any] | None, projection: Any
    ) -> None:
        self._collection = collection
        self._inner = inner
        self._filter = filter_
        self._projection = projection
        self._sort: list[tuple[str, int]] = []
        self._skip = 0
        self._limit = 0
        self._documents: Iterator[Document] | None = None

    def sort(self, key_or_list: str | SortKeys, direction: int = 1) -> EmbeddedCursor:
        """Order by one field, or by pairs of field and direction (1 or -1)."""
        self._sort = [(key_or_list, direction)] if isinstance(key_or_list, str) else list(key_or_list)
        return self

    def skip(self, skip: int) -> EmbeddedCursor:
        """Leave out the first `skip` documents."""
        self._skip = skip
        return self

    def limit(self, limit: int) -> EmbeddedCursor:
        """Return at most `limit` documents; 0 means all."""
        self._limit = limit
        return self

    def to_list(self) -> list[Document]:
        """All (remaining) documents."""
        return list(self)

    def __iter__(self) -> Iterator[Document]:
        return self

    def __next__(self) -> Document:
        if self._documents is None:
            self._documents = iter(self._collection.perform("find", self._read))
        return next(self._documents)

    def __enter__(self) -> EmbeddedCursor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self) -> list[Document]:
        return list(
            self._inner.find(
                self._filter, self._projection, sort=self._sort or None, skip=self._skip, limit=self._limit
            )
        )


class BulkResult:
    """What a bulk write changed, by pymongo's names."""

    acknowledged = True

    def __init__(self) -> None:
        self.inserted_count = 0
        self.matched_count = 0
        self.modified_count = 0
        self.upserted_count = 0
        self.deleted_count = 0


class _Bulk:
    """Takes requests as pymongo's own collector of bulk writes does, and carries each out at once."""

    def __init__(self, inner: Any, result: BulkResult) -> None:
        self._inner = inner
        self._result = result

    def add_insert(self, document: Document) -> None:
        self._inner.insert_one(document)
        self._result.inserted_count += 1

    def add_update(
        self, selector: Mapping[str, Any], update: Any, multi: bool = False, upsert: bool | None = False, **_: Any
    ) -> None:
        update_documents = self._inner.update_many if multi else self._inner.update_one
        self._count(update_documents(selector, update, upsert=bool(upsert)))

    def add_replace(
        self, selector: Mapping[str, Any], replacement: Document, upsert: bool | None = False, **_: Any
    ) -> None:
        self._count(self._inner.replace_one(selector, replacement, upsert=bool(upsert)))

    def add_delete(self, selector: Mapping[str, Any], limit: int, **_: Any) -> None:
        delete = self._inner.delete_one if limit else self._inner.delete_many
        self._result.deleted_count += delete(selector).deleted_count

    def _count(self, done: Any) -> None:
        upserted = done.upserted_id is not None
        self._result.upserted_count += upserted
        self._result.matched_count += 0 if upserted else done.matched_count
        self._result.modified_count += done.modified_count
