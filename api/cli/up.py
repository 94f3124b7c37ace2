"""`workty up`: the embedded stack, left running until SIGTERM or ctrl-c."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import click

from api.cli.embedded import BOARDS, SLOTS, EmbeddedStack
from api.cli.stopping import log_to_stderr, stop_on_signals
from orchestrator.settings import ServerSettings, load


def serve_embedded(environ: Mapping[str, str], *, free_port: bool = False) -> int:
    """Run until told to stop; returns an exit code. `free_port` listens on any port that is free."""
    settings = load(environ)
    if free_port:
        settings = replace(settings, port=0)
    log_to_stderr("WARNING" if settings.log_level == "INFO" else settings.log_level, settings.log_format)
    stopping = stop_on_signals()
    stack = EmbeddedStack(settings)
    try:
        stack.start()
        _greet(stack, settings)
        stopping.wait()
        click.echo("Stopping")
    finally:
        stack.stop()
    return 0


def _greet(stack: EmbeddedStack, settings: ServerSettings) -> None:
    password = stack.seeded.generated_password
    shown = f"password {password} (generated, shown once)" if password else "password from WORKTY_ADMIN_PASSWORD"
    click.echo(
        f"Workty is ready: {stack.url}/api/v1\n"
        f"  account  {settings.admin_email}, {shown}\n"
        f"  boards   {BOARDS} simulated ones with {SLOTS} slots each\n"
        "  data     in memory: nothing is kept when it stops\n"
        "Stop it with ctrl-c."
    )
