"""Takes accounts away: marks them removed, to be recovered by an admin, or erases them with what is theirs."""

from __future__ import annotations

from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.accounts.service import AccountService
from orchestrator.catalogue.removal import WorktyRemoval
from orchestrator.workflows.removal import Removal

REASON = "The account was erased"


class AccountRemoval:
    """Removes accounts."""

    def __init__(
        self, db: Database[dict[str, Any]], accounts: AccountService, workflows: Removal, workties: WorktyRemoval
    ) -> None:
        self._documents = db["accounts"]
        self._ui_settings = db["ui_settings"]
        self._accounts = accounts
        self._workflows = workflows
        self._workties = workties

    def delete(self, actor: Account, account_id: str, *, erase: bool) -> None:
        """Remove an account: any for an admin, itself for another. Its runs are stopped.

        Erasing takes its workflows, its worktys that are no templates, and its ui settings, and gives its e-mail free;
        payments and templates stay. What a crash leaves behind is erased by asking again.

        Raises `Forbidden`, `NotFound`, and `ValidationFailed` for the last admin.
        """
        actor.require("accounts", "delete")
        key = self._accounts.reachable(actor, account_id)["_id"]
        # First of all nobody acts for the account any more, so that nothing is added to what is being erased.
        self._accounts.mark_removed(actor, key, gone=True)
        if erase:
            self._erase(key)

    def _erase(self, key: ObjectId) -> None:
        self._workflows.workflows_of(key, REASON)
        self._workties.workties_of(key, REASON)
        self._ui_settings.delete_many({"accountId": key})
        self._documents.delete_one({"_id": key})
