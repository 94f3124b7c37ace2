"""The workflow that a user names, or that a file describes."""

from __future__ import annotations

import click

from api.cli.texts import clean
from api.client import Client, Workflow

#: How files with definitions are called.
SUFFIXES = (".yml", ".yaml")
#: States of instances that have a run.
UNDER_WAY = frozenset({"waiting", "running", "paused"})


def named_workflow(client: Client, named: str, *, tell: bool) -> Workflow:
    """The workflow with this name or id; that of a file is made, or changed to what the file says.

    Says what was done to it if it is to `tell`. Raises `ClientError`.
    """
    if not named.endswith(SUFFIXES):
        return client.workflow(named)
    applied = client.apply(named)
    if tell:
        done = "is new" if applied.created else "was changed" if applied.changed else "is as described"
        click.echo(f"Workflow '{clean(applied.name)}' {done}.")
    found = client.workflow(applied.workflow)
    if tell and any(instance.state in UNDER_WAY for instance in found.instances):
        click.echo("A run of it is under way: this one goes on, and no other is started.")
    return found
