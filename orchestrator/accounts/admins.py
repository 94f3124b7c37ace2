"""Keeps at least one admin: whoever takes an admin away announces it first, so that two at once see each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.accounts.account import ADMIN
from orchestrator.errors import ValidationFailed

#: After how long an announcement counts no more; whoever made it is gone.
STALE = timedelta(minutes=1)

_ACTIVE = {"aclRoleNames": ADMIN, "removed": {"$ne": True}}


class Admins:
    """The admins that can log in."""

    def __init__(self, db: Database[dict[str, Any]], clock: Callable[[], datetime]) -> None:
        self._accounts = db["accounts"]
        self._settings = db["settings"]
        self._clock = clock

    @contextmanager
    def one_less(self, account_id: ObjectId, path: str) -> Iterator[None]:
        """Inside the block an account may stop to be an admin. Raises `ValidationFailed`, naming `path`, for the
        last one."""
        self._announce(account_id, path)
        try:
            yield
        finally:
            self._settings.update_one(
                {"_id": "admins"}, {"$pull": {"leaving": {"account": account_id}}, "$inc": {"version": 1}}
            )

    def _announce(self, account_id: ObjectId, path: str) -> None:
        """Compare-and-set on the announcements as they were when others were looked for."""
        key = {"_id": "admins"}
        while True:
            now = self._clock()
            self._settings.update_one(key, {"$setOnInsert": {"version": 0, "leaving": []}}, upsert=True)
            seen = self._settings.find_one(key) or {}
            leaving = [entry for entry in seen["leaving"] if entry["since"] + STALE > now]
            absent = [account_id, *(entry["account"] for entry in leaving)]
            if self._is_last(account_id, absent):
                raise ValidationFailed([f"Path `{path}`: the last admin stays an admin. Appoint another one first."])
            mine = {"account": account_id, "since": now}
            announced = {"version": seen["version"] + 1, "leaving": [*leaving, mine]}
            if self._settings.update_one(key | {"version": seen["version"]}, {"$set": announced}).matched_count:
                return

    def _is_last(self, account_id: ObjectId, absent: list[ObjectId]) -> bool:
        if self._accounts.find_one(_ACTIVE | {"_id": {"$nin": absent}}, {"_id": True}) is not None:
            return False
        return self._accounts.find_one(_ACTIVE | {"_id": account_id}, {"_id": True}) is not None
