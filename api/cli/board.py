"""`workty board add`: the record and queues of a board, and the commands that give it an account on the broker."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import click
from bson import ObjectId

from api.cli.server import prepared_database
from orchestrator.boards.store import BoardStore
from orchestrator.broker import BoardSender, server_app
from orchestrator.core import utc_now
from orchestrator.errors import BadSettings, ValidationFailed
from orchestrator.settings import BOTH_URLS, load
from workties.messages import EVENTS_EXCHANGE


def add_board(environ: Mapping[str, str], name: str, *, board_id: str | None, as_json: bool) -> int:
    """Add the board and print what is left to do; returns an exit code.

    Args:
        board_id: the id that it had in a database which was lost; its account and settings are still those.
    """
    settings = load(environ, required=BOTH_URLS)
    if not name.strip() or len(name) > 256:
        raise BadSettings([f"A board's name has 1 to 256 characters, got {name!r}"])
    if board_id is not None and not ObjectId.is_valid(board_id):
        raise BadSettings([f"--id: the id of a board has 24 hexadecimal digits, got {board_id!r}"])
    sender = BoardSender(server_app(str(settings.amqp_url)))
    sender.declare()
    boards = BoardStore(prepared_database(settings))
    if board_id is not None and boards.known(board_id):
        raise click.ClickException(f"Board {board_id} is known already")
    try:
        board = boards.add(name, utc_now(), ObjectId(board_id))
    except ValidationFailed as error:
        raise click.ClickException(" ".join(error.problems)) from error
    sender.add_board(board.id)
    vhost = unquote(urlsplit(str(settings.amqp_url)).path[1:]) or "/"
    password = secrets.token_hex(24)
    commands = account_commands(board.id, password, vhost) if board_id is None else []
    if as_json:
        click.echo(json.dumps({"id": board.id, "name": name, "commands": commands}))
        return 0
    if board_id is not None:
        click.echo(f"Board '{name}' is added again: {board.id}. Its account on the broker and its settings still count")
        return 0
    click.echo(f"Board '{name}' is added: {board.id}\n\nOn the broker, make its account (shown once):\n")
    for command in commands:
        click.echo(f"  {command}")
    click.echo(
        "\nOn the board:\n\n"
        f"  export WORKTY_BOARD_ID={board.id}\n"
        f"  export WORKTY_AMQP_URL={shlex.quote(_board_url(str(settings.amqp_url), board.id, password))}\n"
        f"  export WORKTY_SERVER_URL={settings.public_url}\n"
        "  workty agent"
    )
    return 0


def account_commands(board_id: str, password: str, vhost: str) -> list[str]:
    """The commands for the broker's host: an account that can do what a board needs and nothing else."""
    own = re.escape(board_id)
    write, read = f"^{EVENTS_EXCHANGE}$", f"^board\\.{own}(\\.control)?$"
    commands = [
        ["add_user", board_id, password],
        ["set_permissions", "-p", vhost, board_id, "^$", write, read],
        ["set_topic_permissions", "-p", vhost, board_id, EVENTS_EXCHANGE, f"^{own}\\.", "^$"],
    ]
    return [shlex.join(["rabbitmqctl", *command]) for command in commands]


def _board_url(server_url: str, board_id: str, password: str) -> str:
    """The broker's URL with a board's account in it instead of the server's."""
    parts = urlsplit(server_url)
    return parts._replace(netloc=f"{board_id}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()
