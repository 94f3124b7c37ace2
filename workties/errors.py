"""Errors of this package. Each says what happened, to what, and what to do about it."""

from __future__ import annotations


class WorktyError(Exception):
    """Base of every error raised by this package."""


class BadMessage(WorktyError):
    """A message between server and board does not validate, or its version is unknown.

    Attributes:
        reason: which field is wrong and what was expected, e.g. ``attempt: expected a whole number >= 1, got 0``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadPackage(WorktyError):
    """An archive is no workty package, or is not safe to unpack. The message names the file inside it."""
