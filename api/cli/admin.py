"""`workty admin`: what only people who keep the server do. Needs the broker's address, and no login."""

from __future__ import annotations

import os
from collections.abc import Callable

import click

from api.cli.serving import run_command, server_extra


@click.group()
def admin() -> None:
    """Look after the server: messages that could not be used."""


@admin.group("dead-letters")
def dead_letters() -> None:
    """Messages that nobody could use, with the reason. Needs WORKTY_AMQP_URL.

    While one command looks at them, another one sees none.
    """


as_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")
one_or_all = click.argument("letter_id", metavar="[ID]", required=False)


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Most that are listed.")
@as_json
def list_letters(limit: int, *, as_json: bool) -> None:
    """List dead letters, oldest first."""
    from api.cli import letters  # noqa: PLC0415

    _run(lambda environ: letters.list_letters(environ, limit, as_json=as_json))


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@as_json
def show(letter_id: str, *, as_json: bool) -> None:
    """Show a dead letter with its body."""
    from api.cli import letters  # noqa: PLC0415

    _run(lambda environ: letters.show(environ, letter_id, as_json=as_json))


@dead_letters.command()
@one_or_all
@click.option("--all", "every", is_flag=True, help="All that make sense now, oldest first; the others stay.")
def replay(letter_id: str | None, *, every: bool) -> None:
    """Have a dead letter read again by whoever it was for."""
    _exactly_one(letter_id, every=every)
    from api.cli import letters  # noqa: PLC0415

    _run(lambda environ: letters.replay(environ, letter_id))


@dead_letters.command()
@one_or_all
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
def drop(letter_id: str | None, *, every: bool, yes: bool) -> None:
    """Delete a dead letter for good."""
    _exactly_one(letter_id, every=every)
    from api.cli import letters  # noqa: PLC0415

    _run(lambda environ: letters.drop(environ, letter_id, asks=not yes))


def _exactly_one(letter_id: str | None, *, every: bool) -> None:
    if (letter_id is None) is not every:
        raise click.UsageError(
            "Give either the ID of a dead letter or --all. To see them: workty admin dead-letters list"
        )


def _run(command: Callable[[dict[str, str]], int]) -> None:
    server_extra()
    run_command(command, dict(os.environ))
