"""What accounts changed, as the core tells it: one value for each change, made in the same way by all services."""

from __future__ import annotations

from bson import ObjectId

from orchestrator.accounts.account import Account
from orchestrator.live import EntityChange, EntityKind


def entity_change(
    kind: EntityKind,
    entity: ObjectId,
    owner: ObjectId | None,
    actor: Account | None,
    *,
    deleted: bool = False,
    instance: ObjectId | None = None,
    instance_deleted: bool = False,
) -> EntityChange:
    """A change of an entity of `owner` (None: of the installation), asked for by `actor` (None: by nobody).

    The rest is as in `EntityChange`.
    """
    return EntityChange(
        kind=kind,
        id=str(entity),
        owner=None if owner is None else str(owner),
        asked_by=None if actor is None else str(actor.id),
        request_id=None if actor is None else actor.request_id,
        deleted=deleted,
        instance=None if instance is None else str(instance),
        instance_deleted=instance_deleted,
    )
