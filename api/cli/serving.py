"""What commands of the server share: what goes wrong as lines and exit codes, and what to install on a board's machine.

Imports nothing of the server before one of its commands runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click


class _Problems(click.ClickException):
    """Wrong settings: one line each, exit code 2."""

    exit_code = 2

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self._problems = problems

    def show(self, file: Any = None) -> None:
        """Print a line for each problem."""
        for problem in self._problems:
            click.echo(f"workty: {problem}", err=True, file=file)


@contextmanager
def settings_errors(kind: type[Exception]) -> Iterator[None]:
    """Turn wrong settings, an error of this kind, into lines and exit code 2."""
    try:
        yield
    except kind as error:
        raise _Problems(getattr(error, "problems", (str(error),))) from error


def server_extra() -> None:
    """Say what to install where a command of the server is called on a board."""
    try:
        import flask_restx  # noqa: F401, PLC0415
        import pymongo  # noqa: F401, PLC0415
    except ImportError as error:
        raise click.ClickException(
            f"{error.name} is not installed. Install the server: pip install 'workty[server]'"
        ) from error


def run_command(command: Callable[[dict[str, str]], int], environ: dict[str, str]) -> None:
    """Run a command of the server; what it cannot reach is one clear line and exit code 1."""
    from orchestrator.database import reachable  # noqa: PLC0415
    from orchestrator.errors import BadSettings, OrchestratorError  # noqa: PLC0415

    with settings_errors(BadSettings):
        try:
            with reachable():
                code = command(environ)
        except BadSettings:
            raise
        except OrchestratorError as error:
            raise click.ClickException(str(error)) from error
    sys.exit(code)
