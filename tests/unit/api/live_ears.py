"""Who hears what: two sockets of one account, one of a stranger and one of an admin, in one context."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from api.live.connecting import ENTITIES
from tests.unit.api.live_client import LiveClient

#: Name of requests that only show that nothing else comes.
MARKER = "marker"


@dataclass
class Ears:
    """Clients in a context; `one` and `other` are sockets of the same account.

    `settle` waits until the server has told all that changed.
    """

    context: str
    settle: Callable[[], object]
    one: LiveClient
    other: LiveClient
    stranger: LiveClient
    admin: LiveClient

    def heard(self, client: LiveClient) -> list[Any]:
        """What a client was told since the last time. A marker is asked for: what was told before it has come."""
        event = f"sv.{ENTITIES[self.context]}.changed"
        self.settle()
        client.ask(self.context, "sv.none", {"requestId": MARKER})
        client.next(self.context, event, lambda payload: payload.get("requestId") == MARKER)
        return client.taken(self.context, event)

    def asked(self, event: str, payload: dict[str, Any], *, by: LiveClient | None = None) -> Any:
        """What the owner's sockets, and an admin who asks, are told because of a request: one and the same message.

        Nobody else hears of it.
        """
        asker = by or self.one
        acknowledged = asker.ask(self.context, event, payload | {"requestId": 7})
        assert acknowledged == {"err": None, "requestId": 7}, acknowledged
        [told] = self.heard(self.one)
        assert self.heard(self.other) == [told]
        assert self.heard(self.admin) == ([told] if asker is self.admin else [])
        assert self.heard(self.stranger) == []
        assert (told.pop("err"), told.pop("requestId")) == (None, 7)
        return told

    def told(self) -> Any:
        """What the owner's sockets are told of a change that nobody asked for here."""
        [told] = self.heard(self.one)
        assert self.heard(self.other) == [told]
        assert self.heard(self.admin) == self.heard(self.stranger) == []
        assert told.pop("err") is None
        assert "requestId" not in told
        return told

    def answered(self, event: str, payload: dict[str, Any], *, by: LiveClient | None = None) -> list[Any]:
        """What the asker alone is told."""
        asker = by or self.one
        acknowledged = asker.ask(self.context, event, payload | {"requestId": 7})
        told = self.heard(asker)
        assert [(message.pop("err"), message.pop("requestId")) for message in told] == [(None, 7)] * len(told)
        assert acknowledged["err"] is None
        for client in (self.one, self.other, self.stranger, self.admin):
            assert self.heard(client) == []
        return told

    def refused(self, event: str, payload: Any, *, by: LiveClient | None = None) -> tuple[int, str, Any]:
        """Status, name and code of the error that the asker alone is told, with no entity."""
        asker = by or self.one
        acknowledged = asker.ask(self.context, event, payload)
        [told] = self.heard(asker)
        assert told == acknowledged
        assert set(told) <= {"err", "requestId"}
        for client in (self.one, self.other, self.stranger, self.admin):
            assert self.heard(client) == []
        error = told["err"]
        assert error["message"] == error["body"]["error"]["message"] != ""
        return error["statusCode"], error["restCode"], error["body"]["error"]["code"]


@contextmanager
def ears(world: Any, url: str, context: str, owner: Any, stranger: Any) -> Iterator[Ears]:
    """Clients of two accounts and of the first admin in a context."""
    with ExitStack() as on:
        clients = [world.live(url, account, context) for account in (owner, owner, stranger, world.admin)]
        yield Ears(context, world.settle, *(on.enter_context(client) for client in clients))
