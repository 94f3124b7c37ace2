"""A client that does not read is dropped with a reason; others get everything, and the server goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from tests.servers import waiting
from tests.unit.api.live_client import PATIENCE, LiveClient

#: More than fits into an outbox and all buffers on the way.
BATCHES, BATCH, SIZE = 15, 50, 20_000


@pytest.fixture
def silent(live_url: str, ann: Any) -> Iterator[websocket.WebSocket]:
    """Opens the workflows of ann, and then reads nothing."""
    issued = ann.post("/tokens").get_json()
    address = live_url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    small = (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = websocket.create_connection(address, timeout=PATIENCE, sockopt=(small,))
    try:
        client.recv()
        client.send(f"40/{issued['accountId']}_workflows," + json.dumps({"token": issued["token"]}))
        while not str(client.recv()).startswith("40/"):
            pass
        yield client
    finally:
        client.shutdown()


def tell(world: Any, account: str, batch: int) -> range:
    """Tell a batch of messages; their numbers."""
    numbers = range(batch * BATCH, (batch + 1) * BATCH)
    for number in numbers:
        about = {"id": "w", "number": number, "filling": "x" * SIZE}
        world.channel.emit("sv.workflow.changed", {"workflow": about}, f"/{account}_workflows")
    return numbers


def test_a_client_that_does_not_read_is_dropped_and_others_get_everything(
    world: Any,
    live_url: str,
    ann: Any,
    silent: websocket.WebSocket,
) -> None:
    account = world.account_id(ann)
    with LiveClient(live_url, ann.post("/tokens").get_json(), "workflows") as reader:
        for batch in range(BATCHES):
            numbers = tell(world, account, batch)
            last = reader.next(
                "workflows", "sv.workflow.changed", lambda m, n=numbers[-1]: m["workflow"]["number"] == n
            )
            heard = [*reader.taken("workflows", "sv.workflow.changed"), last]
            assert [message["workflow"]["number"] for message in heard] == list(numbers)
        waiting.until(lambda: len(world.channel.hub.sessions()) == 1, seconds=PATIENCE, what="the silent one to go")
        assert reader.ask("workflows", "sv.payment.refresh.all")["err"]["body"]["error"]["code"] == 19


def test_who_is_dropped_is_told_why_if_it_reads_again(world: Any, ann: Any, silent: websocket.WebSocket) -> None:
    account = world.account_id(ann)
    for batch in range(BATCHES):
        tell(world, account, batch)
    last = ""
    while text := str(silent.recv()):
        if text.startswith("42"):
            last = text
    assert 'dropped",{"message":"Disconnected: it does not read' in last
