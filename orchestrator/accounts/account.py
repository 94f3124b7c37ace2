"""Who acts: an account as its roles allow it to act. Data only; where it comes from is `accounts.service`'s affair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from orchestrator.errors import Forbidden

ADMIN = "admin"
REGULAR = "regular"


@dataclass(frozen=True, slots=True)
class Account:
    """An account that proved who it is, with what its roles allow: pairs of resource and permission.

    `request_id` is the name that a live client gave its present request: messages about what comes of it carry it.
    """

    id: ObjectId
    name: str
    email: str
    roles: frozenset[str]
    allows: frozenset[tuple[str, str]]
    request_id: str | int | float | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the account reaches what belongs to others."""
        return ADMIN in self.roles

    def owns(self, account_id: ObjectId | None) -> bool:
        """Whether what belongs to `account_id` exists for this account."""
        return self.is_admin or account_id == self.id

    def require(self, resource: str, permission: str) -> None:
        """Return if a role allows it. Raises `Forbidden`."""
        if (resource, permission) not in self.allows:
            raise Forbidden

    def require_admin(self) -> None:
        """Return if the account is an admin. Raises `Forbidden`."""
        if not self.is_admin:
            raise Forbidden


def allowances(roles: Iterable[Mapping[str, Any]]) -> frozenset[tuple[str, str]]:
    """What documents of acl_roles allow together."""
    return frozenset(
        (resource, permission)
        for role in roles
        for rule in role["allows"]
        for resource in ([rule["resources"]] if isinstance(rule["resources"], str) else rule["resources"])
        for permission in rule["permissions"]
    )
