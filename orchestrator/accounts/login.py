"""Who may log in with which credentials. Slows down who guesses; tokens are `tokens`' affair."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pymongo.database import Database

from orchestrator.accounts.account import ADMIN, Account
from orchestrator.accounts.lockout import Lockout
from orchestrator.accounts.passwords import Passwords
from orchestrator.accounts.peer import Peer
from orchestrator.accounts.service import AccountService, email_key
from orchestrator.errors import InvalidCredentials

Document = Mapping[str, Any]


class LoginService:
    """Checks credentials.

    Args:
        by_name_and_email: whether name and e-mail do instead of e-mail and password, for trying things out: on this
            machine only, and only for an account that was made without a password and is no admin.
    """

    def __init__(
        self,
        db: Database[dict[str, Any]],
        accounts: AccountService,
        passwords: Passwords,
        clock: Callable[[], datetime],
        *,
        by_name_and_email: bool = False,
    ) -> None:
        self._documents = db["accounts"]
        self._accounts = accounts
        self._passwords = passwords
        self._lockout = Lockout(db, clock)
        self._by_name_and_email = by_name_and_email

    def log_in(self, name: str, password: str, peer: Peer) -> tuple[Account, Document]:
        """The account with this e-mail as `name` and this password, and its document.

        Raises `InvalidCredentials`, `AccountRemoved`, `TooManyRequests`.
        """
        email = email_key(name)
        self._lockout.check(email, peer)
        document = self._trying_out(name, password, peer) or self._with_password(email, password)
        if document is None:
            self._lockout.failed(email, peer)
            raise InvalidCredentials
        return self._accounts.acting(document), document

    def _with_password(self, email: str, password: str) -> Document | None:
        document = self._documents.find_one({"emailKey": email})
        stored = document.get("password") if document else None
        return document if self._passwords.matches(stored, password) else None

    def _trying_out(self, name: str, email: str, peer: Peer) -> Document | None:
        if not (self._by_name_and_email and peer.is_local and name):
            return None
        found = list(self._documents.find({"name": name}, limit=2))
        if len(found) != 1 or ADMIN in found[0]["aclRoleNames"] or not found[0].get("passwordGenerated"):
            return None
        given, known = (text.encode("utf-8", "surrogatepass") for text in (email_key(email), found[0]["emailKey"]))
        return found[0] if hmac.compare_digest(given, known) else None
