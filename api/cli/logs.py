"""Prints what the steps of a run wrote."""

from __future__ import annotations

import re

import click

from api.cli.show import print_json
from api.cli.watching import JsonLines, log_texts, say_failures
from api.client import BadUse, Client, LogLines, Refused, Run


def find_run(client: Client, named: str) -> Run:
    """The run with this id, or the latest one of the workflow with this name or id. Raises `BadUse`."""
    if re.fullmatch(r"[0-9a-fA-F]{24}", named):
        try:
            return client.read_run(named)
        except Refused as error:
            if error.status != 404:  # it may be a workflow's
                raise
    try:
        found = client.latest_run(named)
    except BadUse as error:
        if "Several" in str(error):
            raise
        raise BadUse(f"There is no run and no workflow '{named}'") from error
    if found is None:
        raise BadUse(f"Workflow '{named}' has never run")
    return found


def print_log(client: Client, run: Run, *, json_: bool) -> None:
    """Print the lines that there are; as JSON one document."""
    entries = client.log(run)
    if json_:
        print_json(list(entries))
        return
    for entry in entries:
        click.echo("\n".join(log_texts(entry)))
    say_failures(run)


def print_log_live(client: Client, run: Run, *, json_: bool) -> None:
    """Print the lines that there are and those that come, until the run ends; as JSON a line each."""
    with client.follow(run, logs=True) as events:
        for event in events:
            if isinstance(event, LogLines) and json_:
                JsonLines().show(event)
            elif isinstance(event, LogLines):
                click.echo("\n".join(log_texts(event)))
    if not json_:
        say_failures(client.read_run(run.id))
