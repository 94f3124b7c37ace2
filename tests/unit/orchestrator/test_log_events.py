"""What happens to each message of lines that boards send: kept and told, kept aside, or left open."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from orchestrator.database import create_indexes
from orchestrator.errors import Unavailable
from orchestrator.log_events import LogHandler
from orchestrator.runs.logs import RunLogs
from tests.unit.orchestrator.deliveries import Sent, sent
from tests.unit.orchestrator.runs.world import BoardModel, World
from workties import messages as m


class Setting:
    """A run whose first step is with a board, and whose board says what it wrote."""

    def __init__(self) -> None:
        self.world = World()
        create_indexes(self.world.database)
        self.board = self.world.board()
        self.workflow = self.started()
        self.run = self.world.run(self.workflow).id
        self.kept: list[tuple[Any, str, str, str | None]] = []
        self.handler = LogHandler(self.world.core.logs, self.keep)
        self.logs = RunLogs(self.world.database)

    def started(self) -> ObjectId:
        workflow = self.world.workflow(2)
        self.world.core.runs.start(workflow)
        self.world.take(self.board)
        return workflow

    def keep(self, body: Any, reason: str, key: str, sender: str | None) -> None:
        self.kept.append((body, reason, key, sender))

    def wrote(self, *texts: str, workflow: ObjectId | None = None) -> m.Log:
        """The next message of the current attempt."""
        lines = tuple(m.LogLine("2026-01-01T00:00:00Z", "stdout", text) for text in texts)
        key = self.world.key(workflow or self.workflow)
        self.world.say(self.board, key, m.Log, lines=lines, dropped=0)
        found = self.world.events.pop()
        assert isinstance(found, m.Log)
        return found

    def apply(self, *events: m.BoardEvent) -> list[str]:
        """What becomes of the deliveries of these events."""
        deliveries = [sent(event) for event in events]
        self.handler.apply(deliveries)
        return [delivery.fate for delivery in deliveries]

    def texts(self) -> list[str]:
        return [line["text"] for message in self.logs.after(self.run, 0, 0) for line in message.lines]


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_lines_are_stored_told_and_then_acknowledged(setting: Setting) -> None:
    assert setting.apply(setting.wrote("one", "two"), setting.wrote("three")) == ["acknowledged"] * 2
    assert setting.texts() == ["one", "two", "three"]
    assert setting.world.logs == setting.logs.after(setting.run, 0, 0)
    assert [told.seq for told in setting.world.logs] == [1, 2]


def test_lines_of_many_runs_come_in_one_batch(setting: Setting) -> None:
    other = setting.started()
    first, foreign, second = setting.wrote("one"), setting.wrote("other", workflow=other), setting.wrote("two")
    assert setting.apply(first, foreign, second) == ["acknowledged"] * 3
    assert setting.texts() == ["one", "two"]
    assert setting.logs.last_seq(setting.world.run(other).id) == 1


def test_lines_that_are_delivered_again_are_stored_once_and_told_with_the_same_number(setting: Setting) -> None:
    first, second = setting.wrote("one"), setting.wrote("two")
    setting.apply(first)
    assert setting.apply(first, second) == ["acknowledged"] * 2
    assert setting.texts() == ["one", "two"]
    assert [(told.seq, told.lines[0]["text"]) for told in setting.world.logs] == [(1, "one"), (1, "one"), (2, "two")]


def test_lines_are_stored_though_nobody_can_be_told(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_: Any) -> None:
        raise Unavailable("The message broker")

    monkeypatch.setattr(setting.world, "logged", away)
    with caplog.at_level(logging.WARNING):
        assert setting.apply(setting.wrote("one"), setting.wrote("two")) == ["acknowledged"] * 2
    assert setting.texts() == ["one", "two"]
    assert [record.getMessage() for record in caplog.records] == [
        "Lines are stored, but not told: The message broker is not reachable now. Try again in 2 s"
    ]


def test_while_the_database_is_away_lines_are_left_open(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    message = setting.wrote("one")

    def away(*_: Any) -> None:
        raise AutoReconnect("no primary")

    for place in ("origins", "keep"):
        with monkeypatch.context() as patched:
            patched.setattr(type(setting.world.core.logs), place, away)
            assert setting.apply(message) == ["open"]
    assert setting.kept == []
    assert setting.apply(message) == ["acknowledged"]
    assert setting.texts() == ["one"]


# --- what is not taken


@pytest.mark.parametrize("user_id", [None, "somebody-else"])
def test_lines_that_the_broker_does_not_vouch_for_are_kept_aside(setting: Setting, user_id: str | None) -> None:
    delivery = sent(setting.wrote("one"), user_id=user_id)
    assert setting.handler.apply([delivery])
    assert (delivery.fate, setting.texts()) == ("acknowledged", [])
    assert f"Its user_id is {user_id!r}, not that of board" in setting.kept[0][1]


def test_a_message_of_more_than_64_kib_is_kept_aside(setting: Setting) -> None:
    assert setting.apply(setting.wrote(*["x" * 2000] * 40)) == ["acknowledged"]
    assert "more than 65536" in setting.kept[0][1]
    assert setting.texts() == []


def test_what_is_no_message_of_lines_is_kept_aside(setting: Setting) -> None:
    delivery = Sent("[1]", {}, {"routing_key": "x.log"})
    setting.handler.apply([delivery])
    setting.world.say(setting.board, setting.world.key(setting.workflow), m.Completed)
    setting.apply(setting.world.events[-1])
    reasons = [reason for _, reason, *_ in setting.kept]
    assert "expected a JSON object" in reasons[0]
    assert reasons[1] == "A completed has no place in the queue of logs"


def test_a_board_cannot_write_into_a_run_that_it_never_had(setting: Setting) -> None:
    stranger = setting.world.board()
    forged = replace(setting.wrote("forged"), board=stranger.id)
    assert setting.apply(forged, setting.wrote("real")) == ["acknowledged"] * 2
    assert setting.texts() == ["real"]
    assert setting.kept[0][1].startswith(f"Board {stranger.id} never had attempt 1 of step ")


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ({"run": "5f" * 12}, "There is no run"),
        ({"run": "malformed"}, "There is no run"),
        ({"instance": "5f" * 12}, "has no step"),
        ({"attempt": 2}, "never had attempt 2"),
    ],
)
def test_lines_of_what_does_not_exist_are_kept_aside(setting: Setting, forged: dict[str, Any], reason: str) -> None:
    assert setting.apply(replace(setting.wrote("one"), **forged)) == ["acknowledged"]
    assert reason in setting.kept[0][1]
    assert setting.texts() == []


def test_a_board_that_lost_its_attempt_may_still_say_what_it_wrote_but_not_for_its_successor(
    setting: Setting,
) -> None:
    late = setting.wrote("before the power cut")
    successor = lose(setting)
    forged = replace(late, attempt=2, seq=99)
    foreign = replace(late, board=setting.world.board().id)
    assert setting.apply(late, forged, foreign) == ["acknowledged"] * 3
    assert setting.texts() == ["before the power cut"]
    assert [key.partition(".")[0] for _, _, key, _ in setting.kept] == [setting.board.id, foreign.board]
    setting.board = successor
    setting.apply(setting.wrote("after it"))
    assert setting.texts() == ["before the power cut", "after it"]


def lose(setting: Setting) -> BoardModel:
    """The board is silent for too long, and another one takes over."""
    successor = setting.world.board()
    for _ in range(10):
        setting.world.now += setting.world.core.timing.heartbeat / 3
        setting.world.heartbeat(successor)
        setting.world.sweep()
    setting.world.take(successor)
    assert setting.world.key(setting.workflow)[2] == 2
    return successor
