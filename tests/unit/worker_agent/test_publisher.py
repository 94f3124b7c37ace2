"""What a board says, in which order, and what becomes of it when nobody can be told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Queue
from kombu.transport.memory import Channel, Transport

from worker_agent.broker import Broker
from worker_agent.journal import Journal
from worker_agent.publisher import Publisher
from worker_agent.records import Key, key_of
from workties.messages import EVENTS_EXCHANGE, Assignment, Bye, Completed, Heartbeat, StateReported

KEY = Key("run-1", "instance-1", 1)
VITAL: dict[str, Any] = {"id": "x", "at": "now", "board": "board-01", "boot": "b", "seq": 1}


def heartbeat() -> Heartbeat:
    return Heartbeat(**VITAL, active=(), slots=1, runtimes=())


def bye() -> Bye:
    return Bye(**VITAL, active=(), slots=1, runtimes=(), reason="test")


@pytest.fixture
def listen() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Hears everything up to a bye; call it after the publisher has stopped."""
    Transport.global_state.clear()
    Channel.queues.clear()
    heard: list[dict[str, Any]] = []
    with Connection("memory://", transport_options={"polling_interval": 0.001}) as connection:
        queue = Queue("heard", Exchange(EVENTS_EXCHANGE, "topic"), routing_key="#")
        with Consumer(connection.channel(), [queue], on_message=lambda message: heard.append(receive(message))):

            def drain() -> list[dict[str, Any]]:
                while not heard or heard[-1]["kind"] != "bye":
                    connection.drain_events(timeout=5)
                return heard

            yield drain


def receive(message: Any) -> dict[str, Any]:
    message.ack()
    body: dict[str, Any] = json.loads(message.body)
    assert message.delivery_info["routing_key"] == f"board-01.{body['kind']}"
    assert message.properties["user_id"] == "board-01"
    assert message.properties["delivery_mode"] == 2
    return body


class Voice:
    """A publisher with the journal it speaks for."""

    def __init__(self, path: Path, url: str) -> None:
        self.ready = threading.Event()
        self.journal = Journal(path, "board-01", lambda: "now", self._wake)
        self.now = 0.0
        self.publisher = Publisher(
            "board-01", Broker(url), self.journal, self._beat, heartbeat_seconds=5, clock=lambda: self.now
        )
        self.publisher.start()

    def _wake(self) -> None:
        self.publisher.wake()

    def _beat(self) -> Heartbeat:
        self.ready.set()
        return heartbeat()

    def stop(self, deadline: float = 5.0) -> bool:
        done = self.publisher.stop(bye, deadline)
        self.journal.close()
        return done


def take(journal: Journal, assignment: Assignment) -> None:
    journal.take(assignment, refusal=None, capacity=9)


def kinds(heard: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in heard]


def test_a_board_says_at_once_that_it_lives_then_its_events_in_order_then_goodbye(
    tmp_path: Path, assignment: Callable[..., Assignment], listen: Callable[[], list[dict[str, Any]]]
) -> None:
    voice = Voice(tmp_path / "journal.db", "memory://")
    assert voice.ready.wait(5)
    take(voice.journal, assignment())
    voice.journal.begin(KEY)
    voice.journal.end(KEY, Completed)
    assert voice.stop()
    assert kinds(listen()) == ["heartbeat", "accepted", "state", "completed", "bye"]


def test_more_events_than_a_batch_are_sent_in_order_and_once(
    tmp_path: Path, assignment: Callable[..., Assignment], listen: Callable[[], list[dict[str, Any]]]
) -> None:
    path = tmp_path / "journal.db"
    voice = Voice(path, "memory://")
    keys = [Key("run-1", f"instance-{number}", 1) for number in range(8)]
    for key in keys:
        take(voice.journal, assignment(instance=key.instance))
        voice.journal.begin(key)
        for count in range(40):
            voice.journal.report(key, partial(StateReported, state=f"s{count}"))
    assert voice.stop()
    heard = [event for event in listen() if event["kind"] == "state"]
    for key in keys:
        assert [event["seq"] for event in heard if event["instance"] == key.instance] == list(range(2, 43))
    assert Journal(path, "board-01", lambda: "now", lambda: None).unsent()[0] == []


def test_progress_comes_before_the_final_event_and_never_after(
    tmp_path: Path, assignment: Callable[..., Assignment], listen: Callable[[], list[dict[str, Any]]]
) -> None:
    voice = Voice(tmp_path / "journal.db", "memory://")
    assert voice.ready.wait(5)
    keys = []
    for number in range(20):
        sent = assignment(instance=f"i{number}")
        keys.append(key_of(sent))
        voice.journal.take(sent, refusal=None, capacity=99)
        voice.journal.begin(keys[-1])
    for key in keys:
        for count in range(50):
            voice.publisher.progress(key, count / 49, "")
        voice.publisher.settle(key)
        voice.journal.end(key, Completed)
        voice.publisher.progress(key, 0.5, "too late")
    assert voice.stop()
    heard = listen()
    for key in keys:
        mine = [event for event in heard if event["instance"] == key.instance]
        assert mine[-1]["kind"] == "completed"
        told = [event["progress"] for event in mine if event["kind"] == "progress"]
        assert len(told) in (1, 2)  # the first may be told at once, the last always is
        assert told[-1] == 1.0
        assert [event["seq"] for event in mine] == list(range(1, len(mine) + 1))


def test_what_cannot_be_sent_stays_and_is_sent_after_the_next_start(
    tmp_path: Path, assignment: Callable[..., Assignment], listen: Callable[[], list[dict[str, Any]]]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        voice = Voice(tmp_path / "journal.db", f"amqp://board-01:pw@127.0.0.1:{nobody.getsockname()[1]}/")
        take(voice.journal, assignment())
        voice.journal.begin(KEY)
        voice.publisher.progress(KEY, 0.5, "")
        voice.publisher.settle(KEY)
        voice.journal.end(KEY, Completed)
        assert not voice.stop(5.0)
    assert Voice(tmp_path / "journal.db", "memory://").stop()
    heard = listen()
    assert [kind for kind in kinds(heard) if kind != "heartbeat"] == ["accepted", "state", "completed", "bye"]


def test_a_hushed_board_sends_events_and_no_heartbeat(
    tmp_path: Path, assignment: Callable[..., Assignment], listen: Callable[[], list[dict[str, Any]]]
) -> None:
    voice = Voice(tmp_path / "journal.db", "memory://")
    assert voice.ready.wait(5)
    voice.publisher.hush()
    voice.now = 100.0
    take(voice.journal, assignment())
    assert voice.stop()
    assert kinds(listen()) == ["heartbeat", "accepted", "bye"]
