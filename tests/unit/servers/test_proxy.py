"""Links between a client and a server that says everything back."""

from __future__ import annotations

import socket
import socketserver
import time
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Thread

import pytest

from tests.servers.proxy import Link, Proxy

#: Seconds without an answer after which there is none; and those that an answer may take.
SILENCE, PATIENCE = 0.1, 30.0


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while data := self.request.recv(100):
                self.request.sendall(data)
        except OSError:
            pass


@pytest.fixture
def link() -> Iterator[Link]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server, Proxy() as proxy:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield proxy.link("client to echo", server.server_address[1])
        server.shutdown()


class Client:
    def __init__(self, link: Link, stack: ExitStack) -> None:
        self.socket = stack.enter_context(socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE))

    def ask(self, word: bytes) -> bytes:
        """What comes back; raises TimeoutError if nothing does and ConnectionResetError after a reset."""
        self.socket.sendall(word)
        return self.socket.recv(100)


@pytest.fixture
def clients(link: Link) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        yield [Client(link, stack) for _ in range(2)]


@pytest.fixture
def late(link: Link) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_bytes_pass_in_both_directions_and_later_when_delayed(link: Link, clients: list[Client]) -> None:
    assert clients[0].ask(b"one") == b"one"
    link.delay(0.05)
    begun = time.monotonic()
    assert clients[0].ask(b"two") == b"two"
    assert time.monotonic() - begun >= 0.1


def test_a_cut_resets_what_is_connected_and_when_told_so_what_comes_new(
    link: Link, clients: list[Client], late: ExitStack
) -> None:
    assert clients[0].ask(b"one") == b"one"
    link.cut(refuse=True)
    with pytest.raises(ConnectionError):
        clients[0].ask(b"two")
    with pytest.raises(ConnectionError):
        Client(link, late).ask(b"three")
    link.heal()
    assert Client(link, late).ask(b"four") == b"four"


def test_a_black_hole_swallows_without_a_word_until_it_is_healed(
    link: Link, clients: list[Client], late: ExitStack
) -> None:
    talking, idle = clients
    assert (talking.ask(b"one"), idle.ask(b"one")) == (b"one", b"one")
    link.black_hole()
    for client in (talking, Client(link, late)):
        client.socket.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            client.ask(b"two")
    link.heal()
    assert idle.ask(b"three") == b"three", "it lost nothing"
    assert Client(link, late).ask(b"three") == b"three"
    talking.socket.settimeout(PATIENCE)
    with pytest.raises(ConnectionError):
        talking.ask(b"three")


def test_forgotten_connections_stay_half_open_beside_new_ones_that_pass(
    link: Link, clients: list[Client], late: ExitStack
) -> None:
    assert clients[0].ask(b"one") == b"one"
    link.black_hole(new=False)
    clients[0].socket.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        clients[0].ask(b"two")
    assert Client(link, late).ask(b"two") == b"two"
