"""Errors of the client. All of them are `ClientError`."""

from __future__ import annotations

from collections.abc import Sequence


class ClientError(Exception):
    """Something that was asked of the client did not work; the message says what, and what to do."""


class NotReachable(ClientError):
    """The server does not answer, or says that it cannot serve now. Nothing is known of a change that was asked for.

    Attributes:
        url: the server.
        why: what is known of the cause.
    """

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url} cannot be reached: {why}")
        self.url = url
        self.why = why


class Refused(ClientError):
    """The server refused a request.

    Attributes:
        status: HTTP status, e.g. 404 for what does not exist and 401 for a token that ended.
        code: number of the error in the contract's table (REST contract, section 1), None where it has none.
        message: in the server's words.
        details: one text a problem, for a body that was wrong.
    """

    def __init__(self, status: int, code: int | None, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(" ".join((message, *details)))
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)


class BadUse(ClientError):
    """What was asked for makes no sense: an unknown name or one that means several, an address that is none."""


class BadDefinition(BadUse):
    """A definition of a workflow cannot be used.

    Attributes:
        place: the file, or what else it was read from.
        problems: one text a problem, each names the place in the definition.
    """

    def __init__(self, place: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"{place}: {problem}" for problem in problems))
        self.place = place
        self.problems = tuple(problems)
