"""What the core tells clients live: one message to one namespace. How it gets there is the caller's affair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Emitter(Protocol):
    """Sends a message to every socket of a namespace, e.g. over Flask-SocketIO's message queue."""

    def emit(self, event: str, payload: Mapping[str, Any], namespace: str) -> None:
        """Send; raises nothing when nobody listens. `payload` is plain JSON."""


class Silence:
    """An emitter without listeners, for processes that serve no live clients."""

    def emit(self, event: str, payload: Mapping[str, Any], namespace: str) -> None:
        """Drop the message."""


def workflows_namespace(account_id: str) -> str:
    """The namespace of an account's workflows (live API contract, section 1)."""
    return f"/{account_id}_workflows"
