"""Errors of this package. Each says what happened, to what, and what to do about it."""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, whose import every step would pay for
if TYPE_CHECKING:
    from collections.abc import Sequence


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


class StepFailed(WorktyError):
    """Raised by workties: the step cannot do what it was asked to. The message, shown without a traceback, says why.

    Attributes:
        exit_code: of the program, 1 to 255; by it a policy may tell failures that are worth another attempt.
    """

    def __init__(self, *args: object, exit_code: int = 1) -> None:
        super().__init__(*args)
        self.exit_code = exit_code


class BadProperties(WorktyError):
    """Values of properties are not of the types that the workty declares.

    Attributes:
        problems: a sentence for each of them.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class BadWorkty(WorktyError):
    """The class of a workty cannot be run as it is written. The message names the class and what to change."""


class UnknownProperty(WorktyError, KeyError):
    """The code of a workty reads a property that is neither given nor declared.

    Attributes:
        name: of the property.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        has = ", ".join(known) or "none"
        super().__init__(
            f'no property {name!r}; there are {has}. Declare it in workty.toml: [[properties]] with name = "{name}"'
        )
        self.name = name

    def __str__(self) -> str:
        """The message as it is; a `KeyError` would quote it."""
        return str(self.args[0])


class IllegalTrigger(BadWorkty):
    """A handler of a workty returned a trigger that its state does not have.

    Attributes:
        state: the state in which the workty was.
        trigger: what its handler returned.
    """

    def __init__(self, workty: str, state: str, trigger: str, possible: Sequence[str]) -> None:
        known = ", ".join(possible) or "none"
        super().__init__(f"{workty}: state {state!r} has no trigger {trigger!r}; it has {known}. See `transitions`.")
        self.state = state
        self.trigger = trigger


class TracingMissing(WorktyError):
    """Traces are asked for, and a module that they need is not installed."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and {module} is not installed. Install it: "
            "pip install 'workty[tracing]'; or unset the variable"
        )
