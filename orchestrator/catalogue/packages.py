"""Packages by their digest, and the signed links by which boards fetch them without an account."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from bson import Binary
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

#: How long a link can be used.
LINK_LIFETIME = timedelta(minutes=10)


#: How long a package stays after the last one gave it up. Far longer than anything takes that is just storing,
#: buying or starting to run a workty with the same package, and has not said so yet.
KEPT = timedelta(days=1)


class PackageStore:
    """The zips of all worktys. One that is stored is never changed, since its digest is its name."""

    def __init__(self, db: Database[dict[str, Any]]) -> None:
        self._packages = db["packages"]
        self._workties = db["workties"]
        self._versions = db["workty_versions"]
        self._runs = db["runs"]

    def put(self, data: bytes) -> str:
        """Store a package, unless it is there already; returns its sha256 in hexadecimal."""
        digest = sha256(data).hexdigest()
        self._packages.update_one(
            {"_id": digest},
            {"$setOnInsert": {"data": Binary(data), "size": len(data)}, "$unset": {"released": ""}},
            upsert=True,
        )
        return digest

    def release(self, digests: Iterable[str], now: datetime) -> None:
        """Note that somebody gave these packages up, and remove those that nothing has used for `KEPT` since then."""
        self._packages.update_many({"_id": {"$in": sorted(set(digests))}}, {"$set": {"released": now}})
        released = {"released": {"$lt": now - KEPT}}
        for found in list(self._packages.find(released, {"released": True})):
            if self._used(found["_id"]):
                self._packages.update_one({"_id": found["_id"]}, {"$unset": {"released": ""}})
            else:
                # One that was stored or released again meanwhile is no longer as it was found, and stays.
                self._packages.delete_one(found)

    def get(self, digest: str) -> bytes | None:
        """The package of this digest, or None."""
        return self.get_many([digest]).get(digest)

    def get_many(self, digests: Iterable[str]) -> dict[str, bytes]:
        """The packages of these digests that exist."""
        found = self._packages.find({"_id": {"$in": sorted(set(digests))}}, {"data": True})
        return {document["_id"]: bytes(document["data"]) for document in found}

    def _used(self, digest: str) -> bool:
        needing = {"active": True, "steps.package.sha256": digest}
        return any(
            collection.find_one(where, {"_id": True})
            for collection, where in (
                (self._workties, {"package.sha256": digest}),
                (self._versions, {"sha256": digest}),
                (self._runs, needing),
            )
        )


def digest_of(workty: Mapping[str, Any]) -> str | None:
    """The digest of a stored workty's package; None for a workty without code."""
    return (workty.get("package") or {}).get("sha256")


class PackageLinks:
    """Makes and checks links to packages. They are signed with `secret` and end after `LINK_LIFETIME`."""

    def __init__(self, secret: bytes, base_url: str) -> None:
        self._secret = secret
        self._base_url = base_url.rstrip("/")

    def url(self, digest: str, now: datetime) -> tuple[str, datetime]:
        """The link to a package, and when it ends."""
        ends = int((now + LINK_LIFETIME).timestamp())
        link = f"{self._base_url}/api/v1/packages/{digest}?expires={ends}&signature={self._sign(digest, str(ends))}"
        return link, datetime.fromtimestamp(ends, UTC)

    def check(self, digest: str, expires: str, signature: str, now: datetime) -> bool:
        """Whether the parts of a link belong together and the link has not ended."""
        # Compared as bytes, because texts beyond ASCII raise.
        genuine = hmac.compare_digest(self._sign(digest, expires).encode(), signature.encode("utf-8", "replace"))
        return genuine and now.timestamp() < int(expires)

    def _sign(self, digest: str, expires: str) -> str:
        message = f"{digest}\n{expires}".encode("utf-8", "replace")
        return hmac.digest(self._secret, message, "sha256").hex()


def link_secret(db: Database[dict[str, Any]]) -> bytes:
    """The secret that signs links: made by whoever asks first, the same for all who share the database."""
    settings, key = db["settings"], {"_id": "package-links"}
    found = settings.find_one(key)
    if found is None:
        # Another process may be faster: then its secret counts.
        with suppress(DuplicateKeyError):
            settings.insert_one(key | {"secret": Binary(secrets.token_bytes(32))})
        found = settings.find_one(key) or {}
    return bytes(found["secret"])
