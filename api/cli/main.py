"""`workty`: the commands, their options and exit codes (0 done, 1 failed, 2 usage or settings, 3 not reachable)."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import ClassVar

import click

from api.cli.admin import admin
from api.cli.completing import completion
from api.cli.logging_in import login, logout
from api.cli.sections import Sections
from api.cli.serving import run_command, server_extra, settings_errors
from api.cli.user import boards, explain, logs, pause, resume, run, runs, stop, workflows, workties
from api.cli.versions import upgrade
from api.cli.workty import workty


class _Commands(Sections):
    sections: ClassVar = {
        "Try it": ("demo", "up"),
        "Run workflows": (
            *("login", "workties", "workflows", "run", "runs", "logs", "explain"),
            *("pause", "resume", "stop", "upgrade", "logout"),
        ),
        "Write workties": ("workty",),
        "Run the server": ("api", "orchestrator", "admin"),
        "Run boards": ("board", "boards", "agent"),
        "This program": ("completion",),
    }


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("workty"), prog_name="workty")
def main() -> None:
    """Job orchestration for fleets of single-board computers."""


for _command in (
    *(login, logout, workties, workflows, run, runs, logs, explain, pause, resume, stop, upgrade),
    *(workty, boards, admin, completion),
):
    main.add_command(_command)


@main.command()
@click.option("--host", default=None, help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port; 0 takes a free one.  [default: 9999]")
def up(host: str | None, port: int | None) -> None:
    """Start server and simulated boards in one process.

    REST, live API, orchestrator and two boards are left running; nothing is kept when they stop. The first account is
    WORKTY_ADMIN_EMAIL with WORKTY_ADMIN_PASSWORD.
    """
    server_extra()
    from api.cli.up import serve_embedded  # noqa: PLC0415
    from orchestrator.errors import BadSettings  # noqa: PLC0415

    with settings_errors(BadSettings):
        sys.exit(serve_embedded(_environment(host, port or None), free_port=port == 0))


@main.command()
def demo() -> None:
    """Run a sample workflow on simulated boards."""
    server_extra()
    from api.cli.demo import run_demo  # noqa: PLC0415

    sys.exit(run_demo())


@main.command()
@click.option("--host", default=None, help="Address to listen on.  [default: WORKTY_HOST or 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port.  [default: WORKTY_PORT or 9999]")
@click.option("--threads", type=click.IntRange(4, 1024), default=256, show_default=True, help="One per open websocket.")
def api(host: str | None, port: int | None, threads: int) -> None:
    """Serve REST and the live API. Needs WORKTY_AMQP_URL and WORKTY_MONGO_URL; any number may run."""
    server_extra()
    from api.cli.server import serve_api  # noqa: PLC0415

    run_command(lambda environ: serve_api(environ, threads), _environment(host, port))


@main.command()
def orchestrator() -> None:
    """Run the orchestrator. Needs WORKTY_AMQP_URL and WORKTY_MONGO_URL; any number may run."""
    server_extra()
    from api.cli.server import serve_orchestrator  # noqa: PLC0415

    run_command(serve_orchestrator, dict(os.environ))


@main.command()
def agent() -> None:
    """Run a board's agent. Needs WORKTY_AMQP_URL, WORKTY_BOARD_ID and WORKTY_SERVER_URL (see: workty board add)."""
    from api.cli.agent import serve_agent  # noqa: PLC0415
    from worker_agent.errors import BadSettings  # noqa: PLC0415

    with settings_errors(BadSettings):
        sys.exit(serve_agent(os.environ))


@main.group()
def board() -> None:
    """Boards of the fleet."""


@board.command("add")
@click.argument("name")
@click.option("--id", "board_id", metavar="ID", help="Add a board again that a restored database does not have.")
@click.option("--json", "as_json", is_flag=True, help="For scripts: one JSON object with id and commands.")
def board_add(name: str, board_id: str | None, as_json: bool) -> None:
    """Add a board and print how to give it its account on the broker and its settings."""
    server_extra()
    from api.cli.board import add_board  # noqa: PLC0415

    run_command(lambda environ: add_board(environ, name, board_id=board_id, as_json=as_json), dict(os.environ))


def _environment(host: str | None, port: int | None) -> dict[str, str]:
    given = {"WORKTY_HOST": host, "WORKTY_PORT": None if port is None else str(port)}
    return dict(os.environ) | {name: value for name, value in given.items() if value is not None}
