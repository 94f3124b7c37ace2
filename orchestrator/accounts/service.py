"""Accounts: who may log in, who exists, and what a client may know of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from orchestrator.accounts.account import REGULAR, Account, allowances
from orchestrator.accounts.passwords import Passwords, generated_password
from orchestrator.errors import AccountRemoved, InvalidCredentials, NotFound, ValidationFailed
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, View
from orchestrator.values import Values, object_id

#: What an answer about an account has.
ACCOUNT: Entity = {
    "_id": Kind.ID,
    "name": Kind.TEXT,
    "email": Kind.TEXT,
    "oauthID": Kind.TEXT,
    "aclRoleNames": Kind.OTHER,
    "amount": Kind.NUMBER,
    "removed": Kind.FLAG,
    "removedDate": Kind.DATE,
    "created": Kind.DATE,
}

#: What another account may know of one.
STRANGER: Entity = {"_id": Kind.ID, "name": Kind.TEXT}

#: Longest password, characters.
PASSWORD_LIMIT = 1024


def email_key(email: str) -> str:
    """The form in which e-mails are compared."""
    return email.strip().casefold()


class AccountService:
    """Accounts and their credentials."""

    def __init__(self, db: Database[dict[str, Any]], passwords: Passwords, clock: Callable[[], datetime]) -> None:
        self._accounts = db["accounts"]
        self._roles = db["acl_roles"]
        self._passwords = passwords
        self._clock = clock

    def log_in(self, email: str, password: str) -> tuple[Account, Mapping[str, Any]]:
        """The account with this e-mail and password, and its document. Raises `InvalidCredentials`,
        `AccountRemoved`."""
        document = self._accounts.find_one({"emailKey": email_key(email)})
        stored = document.get("password") if document else None
        if not self._passwords.matches(stored, password) or document is None:
            raise InvalidCredentials
        return self.acting(document), document

    def acting(self, document: Mapping[str, Any]) -> Account:
        """The account of a document, with what its roles allow now. Raises `AccountRemoved`."""
        if document.get("removed"):
            raise AccountRemoved
        roles = frozenset(document["aclRoleNames"])
        return Account(
            id=document["_id"],
            name=document.get("name", ""),
            email=document["email"],
            roles=roles,
            allows=allowances(self._roles.find({"name": {"$in": sorted(roles)}})),
        )

    def find(self, account_id: ObjectId) -> Mapping[str, Any] | None:
        """The stored document of an account, or None."""
        return self._accounts.find_one({"_id": account_id})

    def get(self, actor: Account, account_id: str, view: View = EVERYTHING) -> Record:
        """One account: any for an admin, itself for another. Raises `Forbidden`, `NotFound`."""
        actor.require("accounts", "view")
        key = object_id(account_id)
        document = self.find(key) if actor.owns(key) else None
        if document is None:
            raise NotFound("account")
        return view.pick(document, ACCOUNT)

    def create(self, actor: Account, body: Mapping[str, Any]) -> Record:
        """A new account. Without a password it gets a random one, told this once as `initialPassword`.

        Raises `Forbidden`, `ValidationFailed`.
        """
        actor.require("accounts", "create")
        values = Values(body)
        values.required("email")
        document = self._checked(values)
        password = values.text("password", limit=PASSWORD_LIMIT)
        values.done()
        initial = None if password else generated_password()
        document["password"] = self._passwords.hash(initial or password)
        try:
            self._accounts.insert_one(document)
        except DuplicateKeyError as error:
            raise ValidationFailed(["Path `email` is already in use."]) from error
        record = EVERYTHING.pick(document, ACCOUNT)
        return record | {"initialPassword": initial} if initial else record

    def strangers(self, actor: Account, ids: list[ObjectId]) -> dict[ObjectId, Record]:
        """Accounts to be embedded, by id: in full for their owner and admins, otherwise only id and name."""
        return {
            document["_id"]: EVERYTHING.pick(document, ACCOUNT if actor.owns(document["_id"]) else STRANGER)
            for document in self._accounts.find({"_id": {"$in": ids}})
        }

    def _checked(self, values: Values) -> dict[str, Any]:
        email = values.text("email")
        before, at, after = email.partition("@")
        if not (at and before.strip() and after.strip()) or "@" in after:
            values.wrong("Path `email` is not an e-mail address.")
        roles = values.texts("aclRoleNames", [REGULAR])
        known = {role["name"] for role in self._roles.find({"name": {"$in": roles}}, {"name": True})}
        for role in sorted(set(roles) - known):
            values.wrong(f"Path `aclRoleNames` ({role}) is no role.")
        return {
            "_id": ObjectId(),
            "name": values.text("name"),
            "email": email,
            "emailKey": email_key(email),
            "oauthID": values.text("oauthID"),
            "aclRoleNames": roles,
            "amount": 0,
            "removed": False,
            "created": self._clock(),
        }
