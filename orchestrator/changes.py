"""What accounts changed, as the core tells it: one value for each change, made in the same way by all services."""

from __future__ import annotations

from bson import ObjectId

from orchestrator.accounts.account import Account
from orchestrator.live import EntityChange, EntityKind


def entity_change(
    kind: EntityKind,
    entity: ObjectId,
    owner: ObjectId,
    actor: Account | None,
    *,
    deleted: bool = False,
    instance: ObjectId | None = None,
    instance_deleted: bool = False,
) -> EntityChange:
    """A change of an entity of `owner`, asked for by `actor` (None: by nobody); the rest as in `EntityChange`."""
    return EntityChange(
        kind=kind,
        id=str(entity),
        owner=str(owner),
        asked_by=None if actor is None else str(actor.id),
        request_id=None if actor is None else actor.request_id,
        deleted=deleted,
        instance=None if instance is None else str(instance),
        instance_deleted=instance_deleted,
    )
