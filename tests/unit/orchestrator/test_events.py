"""What happens to each message that boards send: applied, kept aside with a reason, or left open."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from orchestrator.errors import Unavailable
from orchestrator.events import EventHandler
from tests.unit.orchestrator.deliveries import Raw, Sent, sent
from tests.unit.orchestrator.runs.world import BoardModel, World
from workties import messages as m


class Setting:
    def __init__(self) -> None:
        self.world = World()
        self.board = self.world.board()
        self.kept: list[tuple[Any, str, str, str | None]] = []
        core = self.world.core
        self.handler = EventHandler(core.engine, core.fleet, self.keep)

    def keep(self, body: Any, reason: str, key: str, sender: str | None) -> None:
        self.kept.append((body, reason, key, sender))

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


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        (b"{", "application/json", "utf-8"),
        (b"[" * 100_000, "application/json", "utf-8"),
        (b"\xff", "application/json", "utf-8"),
        (b"{}", "application/x-python-serialize", "binary"),
    ],
)
def test_what_kombu_cannot_or_may_not_decode_is_kept_aside(
    setting: Setting, body: bytes, content_type: str, encoding: str
) -> None:
    delivery = Raw(body, content_type, encoding)
    assert setting.handler.apply([delivery])
    assert "cannot be decoded" in setting.kept[0][1]
    assert delivery.fate == "acknowledged"


def test_a_body_that_json_cannot_hold_is_kept_as_text(setting: Setting) -> None:
    def keep(body: Any, *rest: Any) -> None:
        setting.keep(json.loads(json.dumps(body)), *rest)

    core = setting.world.core
    delivery = Raw(
        b'{"v": {"__type__": "uuid", "__value__": {"hex": "%s"}}}' % (b"5f" * 16), "application/json", "utf-8"
    )
    assert EventHandler(core.engine, core.fleet, keep).apply([delivery])
    assert "__type__" in setting.kept[0][0]
    assert delivery.fate == "acknowledged"


REPLAY = {"x-workty-user-id": "BOARD", "x-workty-routing-key": "BOARD.completed"}


@pytest.mark.parametrize(
    ("exchange", "user_id", "headers", "believed"),
    [
        pytest.param("", "server", REPLAY, True, id="replayed by the server"),
        pytest.param("", "server", {}, False, id="without a sender"),
        pytest.param("", "server", REPLAY | {"x-workty-user-id": "another"}, False, id="of another sender"),
        pytest.param("board-events", "server", REPLAY, False, id="through the exchange that boards write to"),
        pytest.param("", "another", REPLAY, False, id="under another name"),
        pytest.param("", None, REPLAY, False, id="under no name"),
    ],
)
def test_a_replayed_event_is_believed_if_the_server_sent_it(
    setting: Setting, exchange: str, user_id: str | None, headers: dict[str, str], *, believed: bool
) -> None:
    workflow, event = setting.running()
    delivery = setting.sent(event, user_id=user_id)
    delivery.headers = {name: value.replace("BOARD", event.board) for name, value in headers.items()}
    delivery.delivery_info = {"exchange": exchange, "routing_key": "events"}
    core = setting.world.core
    EventHandler(core.engine, core.fleet, setting.keep, "server").apply([delivery])
    assert setting.world.states(workflow) == ["completed" if believed else "waiting"]
    assert len(setting.kept) == (not believed)


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
    handler = EventHandler(core.engine, core.fleet, away)
    delivery = Sent("[1]", {}, {"routing_key": "x.state"})
    assert not handler.apply([delivery])
    assert delivery.fate == "open"


@pytest.mark.parametrize("fault", [LookupError("a fault"), OverflowError("2**70"), RecursionError("too deep")])
def test_one_event_that_cannot_be_applied_does_not_take_the_others_with_it(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    workflow, completed = setting.running()
    accepted = setting.world.events[0]
    handle = setting.world.core.engine.handle

    def fragile(run_id: str, events: list[Any]) -> Any:
        if any(isinstance(event, m.Accepted) for event in events):
            raise fault
        return handle(run_id, events)

    monkeypatch.setattr(setting.world.core.engine, "handle", fragile)
    deliveries = [setting.sent(accepted), setting.sent(completed)]
    setting.handler.apply(deliveries)
    assert setting.world.states(workflow) == ["completed"]
    assert [reason for _, reason, *_ in setting.kept] == [f"It cannot be applied: {fault!r}"]
    assert [delivery.fate for delivery in deliveries] == ["acknowledged"] * 2


def test_all_events_of_one_run_in_a_batch_make_one_write(setting: Setting) -> None:
    workflow, completed = setting.running()
    before = setting.world.database["runs"].find_one({"workflowId": workflow})
    assert before is not None
    setting.handler.apply([setting.sent(setting.world.events[0]), setting.sent(completed)])
    after = setting.world.database["runs"].find_one({"workflowId": workflow})
    assert after is not None
    assert after["version"] == before["version"] + 1
