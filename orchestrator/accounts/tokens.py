"""Bearer tokens: random, stored as digests, short-lived, ended by a change of password or by revoking them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.accounts.login import LoginService
from orchestrator.accounts.peer import Peer
from orchestrator.accounts.service import AccountService
from orchestrator.errors import AccountRemoved, InvalidCredentials, NotFound

#: How long a token lives.
LIFETIME = timedelta(hours=24)

#: Adds the account of a token, and its roles.
_WITH_ACCOUNT: list[dict[str, Any]] = [
    {"$lookup": {"from": "accounts", "localField": "accountId", "foreignField": "_id", "as": "account"}},
    {"$unwind": "$account"},
    {"$lookup": {"from": "acl_roles", "localField": "account.aclRoleNames", "foreignField": "name", "as": "roles"}},
]


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token, which nobody can read again, and the seconds that it lives."""

    token: str
    expires_in: int
    account: Account


class TokenService:
    """Issues, accepts and revokes bearer tokens."""

    def __init__(
        self,
        db: Database[dict[str, Any]],
        accounts: AccountService,
        logins: LoginService,
        clock: Callable[[], datetime],
    ) -> None:
        self._tokens = db["tokens"]
        self._accounts = accounts
        self._logins = logins
        self._clock = clock

    def issue(self, email: str, password: str, peer: Peer) -> Issued:
        """A token for the account with these credentials.

        Raises `InvalidCredentials`, `AccountRemoved`, `TooManyRequests`.
        """
        account, document = self._logins.log_in(email, password, peer)
        token, now = secrets.token_urlsafe(32), self._clock()
        self._tokens.insert_one(
            {
                "_id": digest_of(token),
                "accountId": account.id,
                "mark": _mark(document),
                "created": now,
                "expires": now + LIFETIME,
            }
        )
        return Issued(token, round(LIFETIME.total_seconds()), account)

    def accept(self, token: str) -> Account:
        """The account of a token that is in force. Raises `InvalidCredentials`, `AccountRemoved`."""
        return self.accept_digest(digest_of(token))

    def accept_digest(self, digest: str) -> Account:
        """The same for somebody who keeps only the digest of the token."""
        # One query for token, account and roles: it is part of every request.
        found = next(self._tokens.aggregate([{"$match": {"_id": digest}}, *_WITH_ACCOUNT]), None)
        if found is None:
            raise InvalidCredentials
        return self._account(found)

    def in_force(self, digests: Collection[str]) -> dict[str, Account]:
        """The accounts of those tokens that are in force, by digest; one query."""
        accounts = {}
        for found in self._tokens.aggregate([{"$match": {"_id": {"$in": list(digests)}}}, *_WITH_ACCOUNT]):
            with suppress(InvalidCredentials, AccountRemoved):
                accounts[found["_id"]] = self._account(found)
        return accounts

    def revoke(self, token: str) -> None:
        """End a token. Raises `NotFound` if there is none such."""
        if not self._tokens.delete_one({"_id": digest_of(token)}).deleted_count:
            raise NotFound("token")

    def _account(self, found: Mapping[str, Any]) -> Account:
        if found["expires"] <= self._clock():
            raise InvalidCredentials
        if not secrets.compare_digest(found["mark"], _mark(found["account"])):
            raise InvalidCredentials
        return self._accounts.acting(found["account"], found["roles"])


def digest_of(token: str) -> str:
    """What is stored of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _mark(account: Mapping[str, Any]) -> str:
    # Changes with the password, which ends the token even if a change and an issue meet.
    return sha256(str(account.get("password")).encode()).hexdigest()
