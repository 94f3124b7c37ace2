"""Live clients while the database is away: told so, not disconnected, and served again when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from api.cli.server import ANSWER_SECONDS
from api.server import listen, serve_threaded
from orchestrator.core import utc_now
from orchestrator.database import connect
from tests.servers import waiting
from tests.servers.mongod import MongoServer
from tests.unit.api.conftest import World, make_fresh, new_world
from tests.unit.api.live_client import LiveClient, refused

pytestmark = pytest.mark.real


@pytest.fixture
def server(database_url: str) -> Iterator[tuple[World, str]]:
    """A server on a database of its own that answers quickly when it is away, and its URL."""
    database = connect(database_url, timeout_seconds=ANSWER_SECONDS)
    with closing(database.client):
        make_fresh(database)
        world = new_world(database)
        # The database removes what has expired by its own clock.
        world.clock.now = utc_now()
        serving = serve_threaded(world.app, listen("127.0.0.1", 0))
        yield world, f"http://127.0.0.1:{serving.port}"
        serving.stop()


def test_while_the_database_is_away_live_clients_are_told_so_and_stay(
    server: tuple[World, str], mongod: MongoServer
) -> None:
    world, url = server
    issued: dict[str, Any] = world.account("ann").post("/tokens").get_json()
    namespace, token = f"/{issued['accountId']}_workflows", {"token": issued["token"]}
    with LiveClient(url, issued, "workflows") as client:
        mongod.kill9()
        try:
            told = client.ask("workflows", "sv.workflow.refresh.all", {"requestId": 1})
            assert (told["err"]["statusCode"], told["err"]["body"]["error"]["code"], told["requestId"]) == (500, 1, 1)
            assert told["err"]["message"] == "The database is not reachable now. Try again in 2 s"
            assert client.next("workflows", "sv.workflow.changed")["err"] == told["err"]
            why = refused(url, namespace, token)
            assert (why["message"], why["data"]["err"]["message"]) == ("unavailable", told["err"]["message"])
        finally:
            mongod.restart()
        waiting.until(
            lambda: client.ask("workflows", "sv.workflow.refresh.all") == {"err": None, "count": 0},
            seconds=60,
            what="the live API to find its database again",
        )
        assert refused(url, namespace, token) is None
