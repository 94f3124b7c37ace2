"""When a token ends, its sockets are told and closed; those of other tokens are not (live API contract, section 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.api.live_client import LiveClient

CHANGED = "sv.account.changed"
CONTEXTS = ("accounts", "workflows")


@pytest.fixture
def issued(ann: Any) -> dict[str, Any]:
    """A token of ann's."""
    return dict(ann.post("/tokens").get_json())


@pytest.fixture
def own(live_url: str, issued: dict[str, Any]) -> Iterator[LiveClient]:
    """Ann, connected to two namespaces with that token."""
    with LiveClient(live_url, issued, *CONTEXTS) as client:
        yield client


def closed(client: LiveClient) -> list[Any]:
    """What a client was told of its end in each namespace, which the server has closed."""
    for context in CONTEXTS:
        client.until_closed(context)
    return [client.next(context, "unauthorized") for context in CONTEXTS]


def changes_the_password(world: Any, client: LiveClient, issued: dict[str, Any]) -> None:
    sent = {"account": {"id": client.account, "password": "sesame"}, "requestId": 1}
    assert client.ask("accounts", "sv.account.upd", sent) == {"err": None, "requestId": 1}
    assert client.next("accounts", CHANGED)["requestId"] == 1


def changes_the_password_over_rest(world: Any, client: LiveClient, issued: dict[str, Any]) -> None:
    assert world.admin.put(f"/accounts/{client.account}", {"password": "sesame"}).status_code == 200
    assert client.next("accounts", CHANGED)["account"]["name"] == "ann"


def revokes_the_token(world: Any, client: LiveClient, issued: dict[str, Any]) -> None:
    bearer = {"Authorization": f"Bearer {issued['token']}"}
    assert world.client().send("DELETE", "/tokens/current", headers=bearer).status_code == 204


def deletes_itself(world: Any, client: LiveClient, issued: dict[str, Any]) -> None:
    assert client.ask("accounts", "sv.account.del", {"account": {"id": client.account}}) == {"err": None}
    assert client.next("accounts", CHANGED)["account"] == {"id": client.account, "deleted": True}


def is_erased(world: Any, client: LiveClient, issued: dict[str, Any]) -> None:
    assert world.admin.send("DELETE", f"/accounts/{client.account}", json={"removing": True}).status_code == 204
    assert client.next("accounts", CHANGED)["account"] == {"id": client.account, "deleted": True}


def is_removed(world: Any, client: LiveClient, issued: dict[str, Any]) -> None:
    assert world.admin.put(f"/accounts/{client.account}", {"removed": True}).status_code == 200
    assert client.next("accounts", CHANGED)["account"]["removed"]


def lets_a_day_pass(world: Any, client: LiveClient, issued: dict[str, Any]) -> None:
    world.clock.pass_time(hours=24)


@pytest.mark.parametrize(
    "ends",
    [
        changes_the_password,
        changes_the_password_over_rest,
        revokes_the_token,
        deletes_itself,
        is_erased,
        is_removed,
        lets_a_day_pass,
    ],
)
def test_the_sockets_of_a_token_that_ends_are_told_and_closed(
    world: Any, own: LiveClient, issued: dict[str, Any], ends: Callable[..., None]
) -> None:
    ends(world, own, issued)
    assert closed(own) == [{"message": "The token is no longer in force. Get a new one with POST /api/v1/tokens"}] * 2


def test_the_sockets_of_another_token_stay_open(
    world: Any, live_url: str, own: LiveClient, issued: dict[str, Any], ann: Any
) -> None:
    with LiveClient(live_url, ann.post("/tokens").get_json(), *CONTEXTS) as other:
        revokes_the_token(world, own, issued)
        closed(own)
        assert other.ask("accounts", "sv.account.refresh.all") == {"err": None, "count": 1}
        assert other.taken("accounts", "unauthorized") == []
        assert other.taken("workflows", "disconnect") == []
