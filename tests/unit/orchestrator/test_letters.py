"""What a dead letter says, of messages that the broker itself moved; how the orchestrator's own ones are read is tested
on a real broker.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.letters import letter_of
from workties import messages as m

EVENT = json.dumps(m.encode(m.Accepted(id="a", at="now", board="b1", run="r", instance="i", attempt=1, seq=1))).encode()
ORDER = json.dumps({"v": 1, "id": "m", "at": "now", "board": "b1", "run": "r", "instance": "i", "attempt": 1, "seq": 1,
                    "command": "stop"}).encode()  # fmt: skip


def moved(queue: str, reason: str, key: str, **headers: Any) -> dict[str, Any]:
    """Properties of a message that the broker moved out of a queue."""
    at = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # as amqp gives it
    death = {"queue": queue, "reason": reason, "routing-keys": [key], "count": 1, "time": at}
    return {"user_id": "b1", "content_type": "application/json", "application_headers": {"x-death": [death], **headers}}


def test_whom_the_broker_vouched_for_counts_more_than_what_headers_say() -> None:
    forged = {"x-workty-user-id": "b2", "x-workty-routing-key": "b2.accepted", "x-workty-reason": "none"}
    letter = letter_of(EVENT, moved("events", "delivery_limit", "b1.accepted", **forged))
    assert (letter.sender, letter.origin, letter.obstacle) == ("b1", "b1.accepted", None)
    assert letter.reason == "The broker took it out of queue events: delivery_limit"
    assert letter.at == datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    assert letter.replay.headers == {"x-workty-user-id": "b1", "x-workty-routing-key": "b1.accepted"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ORDER, "Its reader rejected it, and its log says why. It makes sense to this version of Workty"),
        (ORDER.replace(b'"stop"', b'"dance"'), "command: expected one of"),
    ],
)
def test_why_a_board_rejected_an_order_is_found_by_checking_it_again(body: bytes, reason: str) -> None:
    letter = letter_of(body, moved("board.b1.control", "rejected", "board.b1.control"))
    assert letter.reason.startswith(reason)


def test_an_id_does_not_depend_on_how_often_a_letter_was_read() -> None:
    once, twice = (moved("events", "rejected", "b1.accepted", **{"x-delivery-count": count}) for count in (1, 2))
    other = moved("events", "rejected", "b1.accepted") | {"message_id": "another"}
    assert letter_of(EVENT, once) == letter_of(EVENT, twice)
    assert letter_of(EVENT, once).id != letter_of(EVENT, other).id


def test_a_message_that_somebody_else_put_there_is_shown_and_not_replayed() -> None:
    letter = letter_of(b"\xff", {})
    assert (letter.body, letter.reason) == ("\\xff", "Nobody noted why it is here")
    assert letter.obstacle is not None
