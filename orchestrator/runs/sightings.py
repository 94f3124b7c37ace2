"""What the server finds out about boards by itself, as events for runs: who is away or back, what is not listed.

A part of `vocabulary`: frozen data and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BoardLost:
    """A board has been `silent` for so many seconds, or (None) does not come back: what it ran is lost."""

    board: str
    silent: float | None = None


@dataclass(frozen=True, slots=True)
class BoardLeft:
    """The agent of a board stopped by itself."""

    board: str


@dataclass(frozen=True, slots=True)
class BoardBack:
    """A board that was away is heard again."""

    board: str


@dataclass(frozen=True, slots=True)
class AttemptMissing:
    """A board that is there no longer knows an attempt which it had accepted."""

    instance: str
    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptListed:
    """The heartbeats of a board list an attempt that is further than the run; `begun`: whether its program runs."""

    board: str
    instance: str
    attempt: int
    begun: bool


@dataclass(frozen=True, slots=True)
class AnswerOverdue:
    """A board owes an answer about the current attempt: it is asked again. `heard`: whether boards are heard now."""

    heard: bool = False
