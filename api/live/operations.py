"""Operations of the live API: what an operation is, and the checks that all of them share, in the contract's order.

Which operations there are is said in `api.live.contexts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from api.live.errors import Gone
from api.live.payloads import Payload
from api.live.sessions import Session
from api.rest.parameters import Parameters
from api.services import Services
from orchestrator.accounts.account import Account
from orchestrator.errors import BadParameter, NotFound
from orchestrator.selection import Entity, Selection
from orchestrator.values import is_id

#: Members of payloads that are objects wherever they are.
_OBJECTS = frozenset({"account", "workflow", "worktyInstance", "workty", "property", "device", "paymentTransaction"})
REQUEST_ID_LIMIT = 128


@dataclass(frozen=True, slots=True)
class Request:
    """A request that passed the checks.

    Attributes:
        actor: the account that asks; carries `requestId` to what it changes.
        session: where it asks.
        payload: what it sent.
        tell: sends an event with a payload to the asker, with the `requestId`; waits for a slow client.
    """

    services: Services
    actor: Account
    session: Session
    payload: Mapping[str, Any]
    tell: Callable[[str, Payload], None]

    def at(self, path: str) -> Any:
        """The member of the payload at a dotted path; None if it is not there."""
        return member(self.payload, path)

    def selection(self, entity: Entity) -> Selection:
        """Page and order of a list. Raises `BadParameter`."""
        names = ("per_page", "page_num", "sort")
        query = {name: str(self.payload[name]) for name in names if self.payload.get(name) is not None}
        return Parameters({}, query, {}).selection(entity)

    def tell_all(self, event: str, name: str, found: Sequence[Payload]) -> Done:
        """Tell entities one by one; without any, one message with an empty one."""
        for about in found or [{}]:
            self.tell(event, {name: about})
        return Done(count=len(found))


@dataclass(frozen=True, slots=True)
class Done:
    """What an operation did: how many entities a refresh sent, and the id of what was added."""

    count: int | None = None
    added: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One event that clients may send.

    Attributes:
        needs: the permission on the context's resource.
        missing: dotted paths of what must be there and not be empty.
        codes: error code by what of it does not exist (`NotFound.what`); 2 for all else.
        ids: dotted paths of ids, and what each is the id of; one of a wrong form is one that does not exist.
        perform: carries it out. What it changes is told by the services; a refresh tells the asker.
    """

    needs: str
    perform: Callable[[Request], Done | None]
    missing: tuple[str, ...] = ()
    codes: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)

    def check(self, payload: Mapping[str, Any]) -> None:
        """Raises `BadParameter` for what is missing or no object, `Gone` for what is no id."""
        for path in self.missing:
            _check_objects(payload, path)
            if not member(payload, path):
                raise BadParameter(f"{path}: is required and must not be empty")
        for path, what in self.ids.items():
            if not is_id(member(payload, path)):
                raise Gone(self.codes.get(what, 2))

    def carry_out(self, request: Request) -> Done:
        """Carry it out. Raises the services' errors; what does not exist gets the operation's code."""
        try:
            return self.perform(request) or Done()
        except NotFound as error:
            raise Gone(self.codes.get(error.what, 2)) from error


def member(payload: Mapping[str, Any], path: str) -> Any:
    """The member at a dotted path; None where the way there ends."""
    found: Any = payload
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def read_payload(data: Sequence[Any]) -> Mapping[str, Any]:
    """The payload of an event: one object; nothing or null counts as an empty one. Raises `BadParameter`."""
    found = data[0] if data else None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadParameter("The payload must be one JSON object")
    return found


def read_request_id(payload: Mapping[str, Any]) -> str | int | float | None:
    """The `requestId`. Raises `BadParameter` if it is neither a text of up to 128 characters nor a number."""
    found = payload.get("requestId")
    # The decoder takes NaN and infinities for numbers, which JSON has not.
    fine = isinstance(found, int) or (isinstance(found, float) and isfinite(found))
    if (
        (fine and not isinstance(found, bool))
        or found is None
        or (isinstance(found, str) and len(found) <= REQUEST_ID_LIMIT)
    ):
        return found
    raise BadParameter(f"requestId: expected a text of up to {REQUEST_ID_LIMIT} characters or a number")


def _check_objects(payload: Mapping[str, Any], path: str) -> None:
    parts = path.split(".")
    for length, name in enumerate(parts, start=1):
        found = member(payload, ".".join(parts[:length]))
        if name in _OBJECTS and found and not isinstance(found, dict):
            raise BadParameter(f"{'.'.join(parts[:length])}: expected an object")
