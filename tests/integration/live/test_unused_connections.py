"""A connection over which no namespace was accepted in time is closed (live API contract, section 1)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import websocket

#: Seconds that something may take on a slow and busy machine.
PATIENCE = 60.0


@pytest.fixture
def connection(live_url: str) -> Iterator[websocket.WebSocket]:
    """Open, and greeted by Engine.IO."""
    address = live_url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    client = websocket.create_connection(address, timeout=PATIENCE)
    assert str(client.recv()).startswith("0{")
    yield client
    client.shutdown()


def until_closed(client: websocket.WebSocket) -> list[str]:
    """What comes until the server closes the connection."""
    heard = []
    while text := str(client.recv()):
        heard.append(text)
    return heard


def test_a_connection_that_opens_nothing_is_closed(connection: websocket.WebSocket) -> None:
    assert until_closed(connection) == ["1"]


def test_a_connection_whose_namespaces_are_refused_is_closed(connection: websocket.WebSocket) -> None:
    connection.send('40/workflows,{"token":"x"}')
    refused, end = until_closed(connection)
    assert refused.startswith("44/workflows,")
    assert end == "1"
