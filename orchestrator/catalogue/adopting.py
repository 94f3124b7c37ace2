"""What a workty takes over from a package besides the code: the version is kept, properties become the declared ones.

`begin` comes before the workty is written with the package, `finish` afterwards, `undo` where somebody else was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pymongo.database import Database

from orchestrator.catalogue.declared import Rearranged, defaults, rearranged
from orchestrator.catalogue.packages import PackageStore, digest_of
from orchestrator.catalogue.properties import MAX_PROPERTIES
from orchestrator.catalogue.property_changes import PropertyChanges
from orchestrator.catalogue.versions import VersionStore
from orchestrator.errors import ValidationFailed

Document = Mapping[str, Any]


class Adoption:
    """Takes packages over, for worktys that somebody else writes."""

    def __init__(self, db: Database[dict[str, Any]], packages: PackageStore, clock: Callable[[], datetime]) -> None:
        self._packages = packages
        self._versions = VersionStore(db, packages)
        self._properties = PropertyChanges(db)
        self._clock = clock

    def begin(self, workty: Document, package: Document) -> Rearranged | None:
        """Keep the version and store new properties; None where the workty has these bytes, or there is no manifest.

        Raises:
            ValidationFailed: the version is there with other bytes, or there are too many versions or properties. The
                package, which is stored already, is given up.
        """
        if not package["version"]:
            return None
        try:
            change = self._change(workty, package)
            self._versions.add(workty, package, self._clock())
        except ValidationFailed:
            self._packages.release([package["sha256"]], self._clock())
            raise
        if change is not None:
            self._properties.begin(change)
        return change

    def finish(self, change: Rearranged | None) -> None:
        """The workty has the package now."""
        if change is not None:
            self._properties.finish(change)

    def undo(self, workty: Document, change: Rearranged | None, *, gone: bool) -> None:
        """The workty was changed by somebody else before it got the package, or is `gone`, and its versions with it."""
        if change is not None:
            self._properties.undo(change)
        if gone:
            self._versions.remove(workty["_id"], self._clock())

    def _change(self, workty: Document, package: Document) -> Rearranged | None:
        if package["sha256"] == digest_of(workty):
            return None
        present, before = self._properties.read(workty["propertiesIds"]), workty.get("package") or {}
        change = rearranged(present, defaults(before), defaults(package), follow=True)
        if len(change.result) > MAX_PROPERTIES:
            raise ValidationFailed([f"Path `propertiesIds` would have more than {MAX_PROPERTIES} properties."])
        return change
