"""`workty completion`, and what shells are offered for names of workflows."""

from __future__ import annotations

import os
import re

import click
from click.shell_completion import CompletionItem, get_completion_class

#: Seconds that a server has to say its workflows while somebody waits for the shell.
SECONDS = 1.0


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and names in a shell.

    For bash, put this into ~/.bashrc: eval "$(workty completion bash)"
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"This version of click has no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, "workty", "_WORKTY_COMPLETE").source())


def workflow_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the account's workflows that a shell can take as they are, if a server says them quickly; and files."""
    files = [CompletionItem(incomplete, type="file")]
    try:
        names = _ask_server()
    except Exception:  # whatever is wrong, a shell that completes is no place to say it
        return files
    fit = [name for name in names if name.startswith(incomplete) and re.fullmatch(r"[\w.@%+=/-]+", name)]
    return [CompletionItem(name) for name in fit] or files


def _ask_server() -> list[str]:
    from datetime import UTC, datetime  # noqa: PLC0415

    from api.cli.credentials import LoginFile, choose  # noqa: PLC0415
    from api.client import Client  # noqa: PLC0415

    chosen = choose(os.environ, LoginFile(os.environ).read(), datetime.now(UTC))
    with Client(chosen.url, chosen.token, ca_file=os.environ.get("WORKTY_CA_FILE"), timeout=SECONDS) as client:
        return sorted({str(record["name"]) for record in client.rest.get("/workflows", fields="name")})
