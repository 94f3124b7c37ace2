"""The words in which the journal is spoken to: frozen data and an enum, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from workties.messages import ActiveAttempt, Assignment, Control, StepEvent

#: An event without what the journal adds: id, time, names and number.
Draft = Callable[..., StepEvent]


class Key(NamedTuple):
    """Names an attempt."""

    run: str
    instance: str
    attempt: int

    def __str__(self) -> str:
        return f"run {self.run} instance {self.instance} attempt {self.attempt}"


def ids_of(key: Key) -> dict[str, object]:
    """What a log line about an attempt says it is about."""
    return {"run": key.run, "step": key.instance, "attempt": key.attempt}


def key_of(message: Assignment | Control | StepEvent | ActiveAttempt) -> Key:
    """The attempt that `message` is about."""
    return Key(message.run, message.instance, message.attempt)


class Taken(Enum):
    """What became of an assignment."""

    NEW = "new"
    KNOWN = "known"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that waits to be sent: its place in the order, its kind, and its JSON text."""

    id: int
    kind: str
    body: str
