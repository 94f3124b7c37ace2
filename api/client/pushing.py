"""Packages from authors to the catalogue, and instances to other versions, over REST. What a package is, is not known
here: it is bytes with a name.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from api.client.applying import LATEST
from api.client.errors import BadUse
from api.client.models import Instance, Version, Workflow, Workty, instance_from, version_from
from api.client.rest import Rest


class Outcome(StrEnum):
    """What a push did."""

    NEW = "new"
    UNCHANGED = "unchanged"
    NEW_VERSION = "new version"
    FORMER_VERSION = "former version"


@dataclass(frozen=True, slots=True)
class Pushed:
    """A workty after a push: its id and name, the version and digest of its package, and what was done."""

    id: str
    name: str
    version: str
    sha256: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Upgraded:
    """An instance, and the versions that it had before and has now; "" is the code that its workty has."""

    instance: Instance
    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether it has another version now."""
        return self.before != self.after


def push(rest: Rest, own: Sequence[Workty], data: bytes, name: str, fields: Mapping[str, Any]) -> Pushed:
    """Create the workty of this name, or give it the package.

    Args:
        own: worktys of this name that the account owns.
        fields: `desc`, of a new workty only, `template`, and `price` in cents.

    Raises:
        BadUse: there are several.
        Refused: the server does not take the package; nothing was changed.
    """
    if len(own) > 1:
        ids = ", ".join(entry.id for entry in own)
        raise BadUse(f"Several worktys of yours have the name '{name}': {ids}. Rename all but one of them")
    digest, code = hashlib.sha256(data).hexdigest(), {"compressedCode": base64.b64encode(data).decode()}
    if not own:
        # Here, and only here, the contract has prices in currency units.
        price = {"price": fields["price"] / 100} if "price" in fields else {}
        record = rest.post("/workties", {"name": name, **fields, **price, **code})
        return Pushed(str(record["_id"]), name, str(record.get("version", "")), digest, Outcome.NEW)
    kept = {found.version for found in versions(rest, own[0].id)}
    record = rest.put(f"/workties/{own[0].id}", {**{key: fields[key] for key in fields if key != "desc"}, **code})
    version = str(record.get("version", ""))
    return Pushed(own[0].id, name, version, digest, _outcome(own[0].version, version, kept))


def _outcome(before: str, after: str, kept: Collection[str]) -> Outcome:
    """A version never changes, so the same one is the same code."""
    if after == before and after:
        return Outcome.UNCHANGED
    return Outcome.FORMER_VERSION if after in kept else Outcome.NEW_VERSION


def versions(rest: Rest, workty_id: str) -> list[Version]:
    """Versions of a workty, newest first."""
    return [version_from(record) for record in rest.get(f"/workties/{workty_id}/versions")]


def upgrade(rest: Rest, workflow: Workflow, step: str | None, to: str) -> list[Upgraded]:
    """Give instances of a workflow, or those of this name or id, another version.

    Raises:
        BadUse: there is no such instance, or a workty has no such version; nothing was changed.
    """
    chosen = [entry for entry in workflow.instances if step in (None, entry.name, entry.id)]
    if step is not None and not chosen:
        names = ", ".join(entry.name or entry.id for entry in workflow.instances) or "none"
        raise BadUse(f"Workflow '{workflow.name}' has no step '{step}'. It has {names}")
    if to != LATEST:
        for entry in {entry.workty: entry for entry in reversed(chosen)}.values():
            _require(rest, entry, to)
    return [_upgrade(rest, workflow.id, entry, to) for entry in chosen]


def _require(rest: Rest, instance: Instance, version: str) -> None:
    known = [found.version for found in versions(rest, instance.workty)]
    if version not in known:
        step, there = instance.name or instance.id, ", ".join(known) or "none"
        raise BadUse(f"The workty of step '{step}' has no version '{version}'. There are {there}")


def _upgrade(rest: Rest, workflow_id: str, instance: Instance, to: str) -> Upgraded:
    path = f"/workflows/{workflow_id}/worktiesInstances/{instance.id}"
    after = instance_from(rest.put(path, {"version": to}))
    names, before = {entry.name for entry in after.properties}, {entry.name for entry in instance.properties}
    return Upgraded(
        instance=instance,
        before=instance.version,
        after=after.version,
        added=tuple(sorted(names - before)),
        removed=tuple(sorted(before - names)),
    )
