"""Messages of boards as the broker would deliver them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from kombu.message import Message

from workties import messages


@dataclass
class Sent:
    """A delivery as the broker makes it."""

    body: str
    properties: dict[str, Any] = field(default_factory=dict)
    delivery_info: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    fate: str = "open"

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    def ack(self) -> None:
        self.fate = "acknowledged"


class Raw(Message):
    """A delivery as kombu makes it of whatever was sent."""

    fate = "open"

    def __init__(self, body: bytes, content_type: str, content_encoding: str) -> None:
        super().__init__(
            body=body,
            content_type=content_type,
            content_encoding=content_encoding,
            delivery_info={"exchange": messages.EVENTS_EXCHANGE, "routing_key": "x.state"},
        )

    def ack(self, *_: object) -> None:
        self.fate = "acknowledged"


def sent(event: messages.BoardEvent, **properties: Any) -> Sent:
    """The delivery of an event that its board has sent."""
    key = f"{event.board}.{event.kind}"
    return Sent(json.dumps(messages.encode(event)), {"user_id": event.board} | properties, {"routing_key": key})
