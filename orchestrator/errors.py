"""Errors of the core: what happened, to which object, and what to do now. `api` maps them to answers in one place."""

from __future__ import annotations

from collections.abc import Sequence


class OrchestratorError(Exception):
    """Base of every error raised by the core.

    Attributes:
        code: stable number of the REST contract's table of errors (section 1), or None where it has none.
    """

    code: int | None = None


class NotFound(OrchestratorError):
    """Something does not exist, or belongs to another account, which must look the same."""

    code = 2

    def __init__(self, what: str = "entity") -> None:
        super().__init__("The entity was not found")
        self.what = what


class ValidationFailed(OrchestratorError):
    """Values of an entity are wrong. `problems` has one sentence for each, naming the path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("Validation Error")
        self.problems = tuple(problems)


class NothingToUpdate(OrchestratorError):
    """An update names no field that it may change."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__("There is nothing to update. Fields that can be changed: " + ", ".join(allowed))


class BadParameter(OrchestratorError):
    """A parameter of a request has a value that it cannot have; the message names it."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class InvalidCredentials(OrchestratorError):
    """E-mail, password or token are wrong; it does not say which."""

    def __init__(self) -> None:
        super().__init__("The credentials are not valid. Use HTTP basic (e-mail and password) or a bearer token")


class AccountRemoved(OrchestratorError):
    """The account exists, its credentials are right, and it is marked removed."""

    code = 14

    def __init__(self) -> None:
        super().__init__("The account was removed. Please recover it")


class Forbidden(OrchestratorError):
    """The account's roles do not allow the operation."""

    code = 13

    def __init__(self) -> None:
        super().__init__("The operation is forbidden")


class TooManyRequests(OrchestratorError):
    """Somebody asks too often, or guessed wrong too often. Nothing was done; `retry_after` is in seconds."""

    def __init__(self, what: str, retry_after: int) -> None:
        super().__init__(f"{what}. Try again in {retry_after} s")
        self.retry_after = retry_after


class AlreadyAsked(OrchestratorError):
    """A request with the same idempotency key is being carried out, or it is not known whether it was.

    Attributes:
        retry_after: seconds after which to ask again; None: asking again with this key will never help.
    """

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotEnoughFunds(OrchestratorError):
    """The account's amount is less than what it wants to buy costs."""

    code = 15

    def __init__(self) -> None:
        super().__init__("You do not have enough funds to process operation. Please fill in your account amount")


class NotOwnWorkty(OrchestratorError):
    """A workty that costs something was not acquired by the account."""

    code = 17

    def __init__(self) -> None:
        super().__init__("The workty is not owned by the account")


class TooManyInstances(OrchestratorError):
    """A workflow has as many instances as it may have."""

    code = 6

    def __init__(self, limit: int) -> None:
        super().__init__(f"Max workflow instances limit: a workflow has at most {limit}. Split it into several")


class WorkflowEmpty(OrchestratorError):
    """A workflow without instances, or with none that does more than clean up, was asked to run."""

    code = 20

    def __init__(self, name: str, workflow_id: str, *, cleans_up: bool = False) -> None:
        what = "that run before a failure" if cleans_up else "to run"
        super().__init__(
            f"The workflow has no workty instances {what}: '{name}'. "
            f"Add one with POST /api/v1/workflows/{workflow_id}/worktiesInstances"
            + (", or set policy.cleanup of one to false" if cleans_up else "")
        )


class StateForbids(OrchestratorError):
    """A command that the present state of a run or instance does not allow."""

    code = 8

    def __init__(self, message: str, *, code: int = 8) -> None:
        super().__init__(message)
        self.code = code


class TooLarge(OrchestratorError):
    """A document is larger than may be stored, or there is none."""

    code = 16

    def __init__(self, message: str = "The size of document is too large") -> None:
        super().__init__(message)


class Contended(OrchestratorError):
    """A run was written by others each time this process tried; nothing was changed."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"Run {run_id} is being changed by too many at once. Try again")


class Unavailable(OrchestratorError):
    """The database or the broker is away. Nothing was changed; try again after `retry_after` seconds."""

    def __init__(self, what: str, retry_after: int = 2) -> None:
        super().__init__(f"{what} is not reachable now. Try again in {retry_after} s")
        self.retry_after = retry_after


class BadSettings(OrchestratorError):
    """Settings are missing or wrong. `problems` has one line for each, saying what to set."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def brief(error: Exception) -> str:
    """An error in one line for the log: our own in their words, others by their kind, as they tell whole topologies."""
    return str(error) if isinstance(error, OrchestratorError) else type(error).__name__


class NoSuchLetter(OrchestratorError):
    """There is no dead letter with this id."""

    def __init__(self, letter_id: str, total: int) -> None:
        looked = f"{total} that are there" if total else "queue, which is empty"
        super().__init__(
            f"No dead letter has the id {letter_id!r}; looked through the {looked}. "
            "To see them: workty admin dead-letters list"
        )


class CannotReplay(OrchestratorError):
    """A dead letter cannot be replayed; it stays where it is."""

    def __init__(self, letter_id: str, why: str) -> None:
        super().__init__(f"Dead letter {letter_id} is not replayed: {why}")
