"""Accounts: who exists, what a client may know of them, and how they change. Who logs in is `login`'s affair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from orchestrator.accounts.account import ADMIN, REGULAR, Account, allowances
from orchestrator.accounts.admins import Admins
from orchestrator.accounts.passwords import Passwords, generated_password
from orchestrator.changes import entity_change
from orchestrator.errors import AccountRemoved, NotFound, ValidationFailed
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.selection import EVERYTHING, Entity, Kind, Record, Selection, View
from orchestrator.values import Values, object_id
from orchestrator.workflows.runs import Runs

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
#: Largest amount, cents: the largest number that every client counts with exactly.
AMOUNT_LIMIT = 2**53 - 1

#: What an account may change of itself, and what only admins may change.
OWN = ("name", "email", "password", "oauthID")
ONLY_ADMINS = ("aclRoleNames", "amount", "removed")
#: Those of them that may be empty.
OPTIONAL = ("name", "oauthID")


def email_key(email: str) -> str:
    """The form in which e-mails are compared."""
    return email.strip().casefold()


class AccountService:
    """Accounts as they see themselves and each other. `audience` is told what changes."""

    def __init__(
        self,
        db: Database[dict[str, Any]],
        passwords: Passwords,
        runs: Runs,
        clock: Callable[[], datetime],
        audience: Audience = NOBODY,
    ) -> None:
        self._accounts = db["accounts"]
        self._workflows = db["workflows"]
        self._runs = runs
        self._roles = db["acl_roles"]
        self._tokens = db["tokens"]
        self._admins = Admins(db, clock)
        self._passwords = passwords
        self._clock = clock
        self._audience = audience

    def acting(self, document: Mapping[str, Any], found: Iterable[Mapping[str, Any]] | None = None) -> Account:
        """The account of a document, with what its roles allow now. Raises `AccountRemoved`.

        Arguments:
            found: the documents of its roles, if they were just read.
        """
        if document.get("removed"):
            raise AccountRemoved
        roles = frozenset(document["aclRoleNames"])
        return Account(
            id=document["_id"],
            name=document.get("name", ""),
            email=document["email"],
            roles=roles,
            allows=allowances(self._roles.find({"name": {"$in": sorted(roles)}}) if found is None else found),
        )

    def find(self, account_id: ObjectId) -> Mapping[str, Any] | None:
        """The stored document of an account, or None."""
        return self._accounts.find_one({"_id": account_id})

    def select(self, actor: Account, selection: Selection, view: View = EVERYTHING) -> list[Record]:
        """For an admin all accounts, for another one itself. Raises `Forbidden`."""
        actor.require("accounts", "view")
        found = self._accounts.find(
            {"$and": [{} if actor.is_admin else {"_id": actor.id}, selection.where]},
            sort=selection.mongo_sort(),
            skip=selection.skip,
            limit=selection.limit,
        )
        return [view.pick(document, ACCOUNT) for document in found]

    def get(self, actor: Account, account_id: str, view: View = EVERYTHING) -> Record:
        """One account: any for an admin, itself for another. Raises `Forbidden`, `NotFound`."""
        actor.require("accounts", "view")
        return view.pick(self.reachable(actor, account_id), ACCOUNT)

    def reachable(self, actor: Account, account_id: str) -> Mapping[str, Any]:
        """The document of an account that exists for the actor. Raises `NotFound`."""
        key = object_id(account_id)
        document = self.find(key) if actor.owns(key) else None
        if document is None:
            raise NotFound("account")
        return document

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
        document |= {"password": self._passwords.hash(initial or password), "passwordGenerated": initial is not None}
        try:
            self._accounts.insert_one(document)
        except DuplicateKeyError as error:
            raise ValidationFailed(["Path `email` is already in use."]) from error
        self._tell(actor, document["_id"])
        record = EVERYTHING.pick(document, ACCOUNT)
        return record | {"initialPassword": initial} if initial else record

    def strangers(self, actor: Account, ids: list[ObjectId]) -> dict[ObjectId, Record]:
        """Accounts to be embedded, by id: in full for their owner and admins, otherwise only id and name."""
        return {
            document["_id"]: EVERYTHING.pick(document, ACCOUNT if actor.owns(document["_id"]) else STRANGER)
            for document in self._accounts.find({"_id": {"$in": ids}})
        }

    def update(self, actor: Account, account_id: str, body: Mapping[str, Any]) -> Record:
        """Change an account: any for an admin, itself for another, which cannot change what only admins may.

        A new password ends the old one and all tokens. Raises `Forbidden`, `NothingToUpdate`, `NotFound`,
        `ValidationFailed`.
        """
        actor.require("accounts", "update")
        values = Values(body)
        allowed = (*OWN, *ONLY_ADMINS) if actor.is_admin else OWN
        values.changes(*allowed, required=tuple(name for name in allowed if name not in OPTIONAL))
        key = self.reachable(actor, account_id)["_id"]
        changed = self._changes(values, [name for name in allowed if name in values])
        values.done()
        if changed.get("removed"):
            return self.mark_removed(actor, key, changed)
        if ADMIN in changed.get("aclRoleNames", [ADMIN]):
            record = self._store(key, changed)
        else:
            with self._admins.one_less(key, "aclRoleNames"):
                record = self._store(key, changed)
        self._tell(actor, key)
        return record

    def mark_removed(
        self, actor: Account, key: ObjectId, more: Mapping[str, Any] | None = None, *, gone: bool = False
    ) -> Record:
        """Let an account log in no more, and stop its runs; changes `more` of it.

        `gone`: live clients are told that it was deleted, not that it changed. Raises `NotFound`, `ValidationFailed`.
        """
        with self._admins.one_less(key, "removed"):
            # The first removal's date stays.
            self._accounts.update_one(
                {"_id": key, "removed": {"$ne": True}}, {"$set": {"removed": True, "removedDate": self._clock()}}
            )
            record = self._store(key, {**(more or {}), "removed": True})
        # Its own clients are to hear it before their connections end.
        self._tell(actor, key, deleted=gone)
        self._tokens.delete_many({"accountId": key})
        for workflow in list(self._workflows.find({"accountId": key}, {"_id": True})):
            self._runs.stop(workflow["_id"], "The account was removed")
        return record

    def _tell(self, actor: Account, key: ObjectId, *, deleted: bool = False) -> None:
        self._audience.entity_changed(entity_change(EntityKind.ACCOUNT, key, key, actor, deleted=deleted))

    def _store(self, key: ObjectId, changed: Mapping[str, Any]) -> Record:
        gone = {"removedDate": ""} if changed.get("removed") is False else {}
        gone |= {"passwordGenerated": ""} if "password" in changed else {}
        try:
            found = self._accounts.find_one_and_update(
                {"_id": key},
                {"$set": changed, **({"$unset": gone} if gone else {})},
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError as error:
            raise ValidationFailed(["Path `email` is already in use."]) from error
        if found is None:
            raise NotFound("account")
        if "password" in changed:
            # They are of no use any more, as each goes by the password that it was issued for.
            self._tokens.delete_many({"accountId": key})
        return EVERYTHING.pick(found, ACCOUNT)

    def _changes(self, values: Values, names: Sequence[str]) -> dict[str, Any]:
        """What to store for the fields `names`; what is wrong with them is noted in `values`."""
        changed: dict[str, Any] = {name: values.text(name) for name in ("name", "oauthID") if name in names}
        if "email" in names:
            email = _email(values)
            changed |= {"email": email, "emailKey": email_key(email)}
        if "aclRoleNames" in names:
            changed["aclRoleNames"] = self._known_roles(values)
        if "amount" in names:
            changed["amount"] = int(values.decimal("amount", places=0, most=AMOUNT_LIMIT))
        if "removed" in names:
            changed["removed"] = values.flag("removed", False)
        if "password" in names:
            password = values.text("password", limit=PASSWORD_LIMIT)
            # Last, as it is slow: not for what is refused anyway.
            values.done()
            changed["password"] = self._passwords.hash(password)
        return changed

    def _known_roles(self, values: Values) -> list[str]:
        roles = list(dict.fromkeys(values.texts("aclRoleNames", [REGULAR])))
        known = {role["name"] for role in self._roles.find({"name": {"$in": roles}}, {"name": True})}
        for role in sorted(set(roles) - known):
            values.wrong(f"Path `aclRoleNames` ({role}) is no role.")
        return roles

    def _checked(self, values: Values) -> dict[str, Any]:
        email = _email(values)
        return {
            "_id": ObjectId(),
            "name": values.text("name"),
            "email": email,
            "emailKey": email_key(email),
            "oauthID": values.text("oauthID"),
            "aclRoleNames": self._known_roles(values),
            "amount": 0,
            "removed": False,
            "created": self._clock(),
        }


def _email(values: Values) -> str:
    email = values.text("email")
    before, at, after = email.partition("@")
    if not (at and before.strip() and after.strip()) or "@" in after:
        values.wrong("Path `email` is not an e-mail address.")
    return email
