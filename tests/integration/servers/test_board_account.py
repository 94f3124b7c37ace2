"""A board's broker account can do what a board needs, and the broker itself refuses the rest."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from amqp import Channel
from amqp.exceptions import AccessRefused, AMQPError, PreconditionFailed
from kombu import Connection, Exchange, Queue

from tests.servers.broker import Vhost
from workties.messages import EVENTS_EXCHANGE, board_queue, control_queue

pytestmark = pytest.mark.real

QUORUM = {"x-queue-type": "quorum"}
EXCHANGE = Exchange(EVENTS_EXCHANGE, type="topic")
#: Accounts are one namespace for all virtual hosts of a broker, so names differ between test processes.
BOARD = f"{secrets.token_hex(4)}.1"
#: One that begins with the name, and one that a pattern would match if its dot were not escaped.
OTHER, LOOKALIKE = f"{BOARD}1", BOARD.replace(".", "-")


@pytest.fixture
def server(vhost: Vhost) -> Iterator[Channel]:
    """The server's channel, after it declared what boards use."""
    with Connection(vhost.amqp_url) as connection:
        channel = connection.channel()
        for board in (BOARD, OTHER, LOOKALIKE):
            for name in (board_queue(board), control_queue(board)):
                Queue(name, queue_arguments=QUORUM)(channel).declare()
        Queue("events", EXCHANGE, routing_key="#", queue_arguments=QUORUM)(channel).declare()
        yield channel


@pytest.fixture
def board(server: Channel, vhost: Vhost) -> Iterator[Channel]:
    """The board's channel, with confirms."""
    url = vhost.add_board_account(BOARD, "secret")
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        yield connection.channel()
    vhost.remove_account(BOARD)


def publish(channel: Channel, exchange: str, routing_key: str, **properties: str) -> None:
    """Publish one event and wait for the broker's confirm."""
    message = channel.prepare_message(b"{}", properties=properties)
    channel.basic_publish_confirm(message, exchange=exchange, routing_key=routing_key)


@pytest.mark.parametrize("queue", [board_queue(BOARD), control_queue(BOARD)], ids=["work", "control"])
def test_a_board_reads_its_own_queues(server: Channel, board: Channel, queue: str) -> None:
    publish(server, "", queue)
    assert board.basic_get(queue, no_ack=True) is not None


def test_a_board_publishes_its_own_events_under_its_own_name(server: Channel, board: Channel) -> None:
    publish(board, EVENTS_EXCHANGE, f"{BOARD}.accepted", user_id=BOARD)
    assert server.basic_get("events", no_ack=True).properties["user_id"] == BOARD


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda board: board.basic_get(board_queue(OTHER)), id="reading a longer name's queue"),
        pytest.param(lambda board: board.basic_get(control_queue(OTHER)), id="reading another's control queue"),
        pytest.param(lambda board: board.basic_get(board_queue(LOOKALIKE)), id="reading a lookalike's queue"),
        pytest.param(lambda board: board.basic_get("events"), id="reading events"),
        pytest.param(lambda board: publish(board, EVENTS_EXCHANGE, f"{OTHER}.accepted"), id="publishing as another"),
        pytest.param(lambda board: publish(board, EVENTS_EXCHANGE, f"{LOOKALIKE}.bye"), id="publishing as a lookalike"),
        pytest.param(lambda board: publish(board, "", board_queue(OTHER)), id="giving another board work"),
        pytest.param(lambda board: board.queue_declare("mine"), id="declaring a queue"),
        pytest.param(lambda board: board.exchange_declare("mine", "topic"), id="declaring an exchange"),
        pytest.param(lambda board: board.queue_delete(board_queue(BOARD)), id="deleting its queue"),
        pytest.param(
            lambda board: board.queue_bind(board_queue(BOARD), EVENTS_EXCHANGE, "#"), id="binding its queue to events"
        ),
    ],
)
def test_the_broker_refuses_a_board(board: Channel, attempt: Callable[[Channel], object]) -> None:
    with pytest.raises(AccessRefused):
        attempt(board)


def test_the_broker_refuses_a_forged_sender(board: Channel) -> None:
    with pytest.raises(PreconditionFailed):
        publish(board, EVENTS_EXCHANGE, f"{BOARD}.accepted", user_id=OTHER)


def test_a_board_does_not_reach_another_virtual_host(board: Channel, vhost: Vhost) -> None:
    elsewhere = vhost.broker.amqp_url(BOARD, "secret", "/")
    with pytest.raises(AMQPError), closing(Connection(elsewhere)) as connection:
        connection.connect()
