"""Messages of boards as the broker would deliver them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from workties import messages


@dataclass
class Sent:
    """A delivery as the broker makes it."""

    body: str
    properties: dict[str, Any] = field(default_factory=dict)
    delivery_info: dict[str, Any] = field(default_factory=dict)
    fate: str = "open"

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    def ack(self) -> None:
        self.fate = "acknowledged"


def sent(event: messages.BoardEvent, **properties: Any) -> Sent:
    """The delivery of an event that its board has sent."""
    key = f"{event.board}.{event.kind}"
    return Sent(json.dumps(messages.encode(event)), {"user_id": event.board} | properties, {"routing_key": key})
