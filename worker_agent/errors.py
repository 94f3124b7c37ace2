"""Errors of the agent. Each says what happened, to what, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence


class AgentError(Exception):
    """Base of every error raised by the agent."""


class BadSettings(AgentError):
    """Settings are missing or wrong. `problems` has one line for each, saying what to set."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class StateDirInUse(AgentError):
    """Another agent works in the same state directory; two would run the same steps."""


class JournalUnavailable(AgentError):
    """The journal cannot be written or read now. Nothing of what was to be written has been."""


class PackageUnavailable(AgentError):
    """A package could not be fetched, or what came is not what was announced. The message says why."""


class Cancelled(AgentError):
    """What was being prepared is not wanted any more."""


class StepNotStarted(AgentError):
    """The processes of a step could not be made; this is not the fault of its program."""


class NoGuardian(StepNotStarted):
    """Nothing of the step has been started yet, so that another way may be tried."""


class NotIsolated(AgentError):
    """Steps cannot run on this board as its settings want it. The message says what stands in the way."""
