"""What happens to each message that boards send: applied, kept aside with a reason, or left open."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from orchestrator.errors import Unavailable
from orchestrator.events import EventHandler
from tests.unit.orchestrator.deliveries import Sent, sent
from tests.unit.orchestrator.runs.world import BoardModel, World
from workties import messages as m


class Setting:
    def __init__(self) -> None:
        self.world = World()
        self.board = self.world.board()
        self.kept: list[tuple[Any, str, str]] = []
        core = self.world.core
        self.handler = EventHandler(core.engine, core.fleet, self.keep, self.world.clock)

    def keep(self, body: Any, reason: str, key: str) -> None:
        self.kept.append((body, reason, key))

    def sent(self, event: m.BoardEvent, **properties: Any) -> Sent:
        return sent(event, **properties)

    def running(self) -> tuple[ObjectId, m.BoardEvent]:
        """A workflow whose only step is with the board, and the event that completes it."""
        workflow = self.world.workflow(1)
        self.world.core.runs.start(workflow)
        self.world.take(self.board)
        self.world.say(self.board, self.world.key(workflow), m.Completed)
        return workflow, self.world.events[-1]


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_an_event_is_acknowledged_after_it_was_applied(setting: Setting) -> None:
    workflow, event = setting.running()
    delivery = setting.sent(event)
    assert setting.handler.apply([delivery])
    assert setting.world.states(workflow) == ["completed"]
    assert delivery.fate == "acknowledged"


def test_what_a_board_says_of_its_steps_counts_before_its_goodbye(setting: Setting) -> None:
    workflow, event = setting.running()
    goodbye = setting.sent(setting.world.bye(setting.board))
    assert setting.handler.apply([goodbye, setting.sent(event)])
    assert setting.world.states(workflow) == ["completed"]
    assert goodbye.fate == "acknowledged"


@pytest.mark.parametrize("user_id", [None, "somebody-else"])
def test_a_message_that_the_broker_does_not_vouch_for_is_kept_aside(setting: Setting, user_id: str | None) -> None:
    workflow, event = setting.running()
    delivery = setting.sent(event, user_id=user_id)
    setting.handler.apply([delivery])
    assert setting.world.states(workflow) == ["waiting"]
    assert delivery.fate == "acknowledged"
    assert f"Its user_id is {user_id!r}, not that of board {setting.board.id}" in setting.kept[0][1]


def test_a_routing_key_of_another_kind_is_kept_aside(setting: Setting) -> None:
    _, event = setting.running()
    delivery = setting.sent(event)
    delivery.delivery_info["routing_key"] = f"{event.board}.heartbeat"
    setting.handler.apply([delivery])
    assert "does not fit a completed" in setting.kept[0][1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "cannot be decoded"),
        ("[1]", "expected a JSON object"),
        ('{"v": 2}', "v: expected protocol version 1, got 2"),
        ('{"v": 1, "kind": "dance"}', "kind: expected one of"),
        (" " * 1_048_577, "It has 1048577 bytes, more than 1048576"),
    ],
)
def test_a_malformed_message_is_kept_aside_with_the_reason(setting: Setting, body: str, reason: str) -> None:
    delivery = Sent(body, {}, {"routing_key": "x.state"})
    setting.handler.apply([delivery])
    assert reason in setting.kept[0][1]
    assert delivery.fate == "acknowledged"


def test_an_unknown_board_is_refused_with_a_line_that_says_how_to_add_it(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = BoardModel(str(ObjectId()))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            beat = m.Heartbeat(**setting.world.vitals(stranger))
            setting.handler.apply([setting.sent(beat)])
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"Board {stranger.id} is unknown and refused. To add a board: workty board add NAME, "
        "then set WORKTY_BOARD_ID to the id that it prints; "
        f"one that is missing in a restored backup: workty board add NAME --id {stranger.id}"
    ]


def test_while_the_database_is_away_events_are_left_open(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    _, event = setting.running()
    delivery = setting.sent(event)

    def away(*_: Any) -> None:
        raise AutoReconnect("no primary")

    monkeypatch.setattr(setting.world.core.engine, "handle", away)
    assert not setting.handler.apply([delivery])
    assert delivery.fate == "open"
    assert setting.kept == []


def test_what_cannot_be_kept_aside_now_is_left_open(setting: Setting) -> None:
    def away(*_: Any) -> None:
        raise Unavailable("The message broker")

    core = setting.world.core
    handler = EventHandler(core.engine, core.fleet, away, setting.world.clock)
    delivery = Sent("[1]", {}, {"routing_key": "x.state"})
    assert not handler.apply([delivery])
    assert delivery.fate == "open"


def test_one_event_that_cannot_be_applied_does_not_take_the_others_with_it(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow, completed = setting.running()
    accepted = setting.world.events[0]
    handle = setting.world.core.engine.handle

    def fragile(run_id: str, events: list[Any]) -> Any:
        if any(isinstance(event, m.Accepted) for event in events):
            raise LookupError("a fault in the program")
        return handle(run_id, events)

    monkeypatch.setattr(setting.world.core.engine, "handle", fragile)
    deliveries = [setting.sent(accepted), setting.sent(completed)]
    setting.handler.apply(deliveries)
    assert setting.world.states(workflow) == ["completed"]
    assert [reason for _, reason, _ in setting.kept] == ["It cannot be applied: LookupError('a fault in the program')"]
    assert [delivery.fate for delivery in deliveries] == ["acknowledged"] * 2


def test_all_events_of_one_run_in_a_batch_make_one_write(setting: Setting) -> None:
    workflow, completed = setting.running()
    before = setting.world.database["runs"].find_one({"workflowId": workflow})
    assert before is not None
    setting.handler.apply([setting.sent(setting.world.events[0]), setting.sent(completed)])
    after = setting.world.database["runs"].find_one({"workflowId": workflow})
    assert after is not None
    assert after["version"] == before["version"] + 1
