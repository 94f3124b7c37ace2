"""Takes worktys away together with all that hangs on them: instances everywhere, runs that need them, properties,
versions, code.

Checks no permissions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.accounts.account import Account
from orchestrator.catalogue.packages import PackageStore, digest_of
from orchestrator.catalogue.versions import VersionStore
from orchestrator.changes import entity_change
from orchestrator.live import NOBODY, Audience, EntityKind
from orchestrator.workflows.removal import Removal
from orchestrator.workflows.runs import Runs


class WorktyRemoval:
    """Removes worktys; `audience` is told so."""

    def __init__(
        self,
        db: Database[dict[str, Any]],
        packages: PackageStore,
        runs: Runs,
        clock: Callable[[], datetime],
        audience: Audience = NOBODY,
    ) -> None:
        self._workties = db["workties"]
        self._properties = db["workty_properties"]
        self._removal = Removal(db, runs, audience)
        self._packages = packages
        self._versions = VersionStore(db, packages)
        self._runs = runs
        self._clock = clock
        self._audience = audience

    def workty(self, workty: Mapping[str, Any], reason: str, actor: Account | None = None) -> bool:
        """Remove a workty with its properties, versions and instances; stop the runs that still need one, for `reason`.

        Returns whether it was this call that removed the workty. `actor` asked for it.
        """
        key = workty["_id"]
        self._remove_uses(key, reason, actor)
        removed = self._workties.find_one_and_delete({"_id": key})
        # Once more for what began to use the workty while it was still there.
        self._remove_uses(key, reason, actor)
        if removed is None:
            return False
        self._properties.delete_many({"_id": {"$in": removed["propertiesIds"]}})
        self._versions.remove(key, self._clock())
        digest = digest_of(removed)
        if digest is not None:
            self._packages.release([digest], self._clock())
        self._audience.entity_changed(entity_change(EntityKind.WORKTY, key, workty["accountId"], actor, deleted=True))
        return True

    def workties_of(self, account_id: ObjectId, reason: str) -> None:
        """Remove the worktys of an account that are no templates, as `workty` does."""
        for found in list(self._workties.find({"accountId": account_id, "template": False})):
            self.workty(found, reason)

    def _remove_uses(self, key: ObjectId, reason: str, actor: Account | None) -> None:
        self._runs.stop_needing(key, reason)
        self._removal.instances_of_workty(key, actor)
