"""Errors of the client as lines on stderr and exit codes: 1 refused, 2 wrong use, 3 not reachable.

Imports the client only where one of its errors may be, so that boards do without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

FAILED, WRONG_USE, AWAY = 1, 2, 3
#: Ended by ctrl-c, as shells count it.
INTERRUPTED = 130


class Problem(click.ClickException):
    """What went wrong, a line for each problem, and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: Any = None) -> None:
        """Print the lines on stderr."""
        for line in self.message.splitlines():
            click.echo(f"workty: {line}", err=True, file=file)


@contextmanager
def client_problems(url: str = "") -> Iterator[None]:
    """Turn what the client raises into `Problem`. `url` is the server, for the hint how to log in again."""
    from api.cli.texts import clean  # noqa: PLC0415
    from api.client.errors import BadUse, NotReachable, Refused  # noqa: PLC0415

    try:
        yield
    except NotReachable as error:
        raise Problem(clean(str(error)), AWAY) from error
    except BadUse as error:
        raise Problem(clean(str(error), keep="\n"), WRONG_USE) from error
    except Refused as error:
        if error.status == 401:
            message = f"{url} does not accept the login, or not any more. Log in again: workty login {url}"
            raise Problem(message, WRONG_USE) from error
        raise Problem(clean(str(error)), WRONG_USE if error.status in {400, 404} else FAILED) from error


def client_extra() -> None:
    """Say what to install where a user's command is called without the packages that it needs."""
    needs(*((module, "client") for module in ("requests", "rich", "socketio", "yaml")))


def needs(*modules: tuple[str, str]) -> None:
    """Say what to install where one of these modules is missing; each comes with the extra behind it."""
    missing = []
    for module, extra in modules:
        try:
            import_module(module)
        except ImportError:
            missing.append((module, extra))
    if missing:
        extras = ",".join(sorted({extra for _, extra in missing}))
        message = f"{missing[0][0]} is not installed. Install what it needs: pip install 'workty[{extras}]'"
        raise Problem(message, FAILED)
