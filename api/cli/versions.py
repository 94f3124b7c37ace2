"""`workty workty versions` and `workty upgrade`: which versions there are, and instances that get another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from api.cli.completing import workflow_names
from api.cli.logging_in import logged_in
from api.cli.texts import clean

if TYPE_CHECKING:
    from api.client import Upgraded, Version


@click.command()
@click.argument("name")
@click.option("--json", "json_", is_flag=True, help="For programs: JSON.")
def versions(name: str, json_: bool) -> None:
    """List the versions of a workty, newest first.

    NAME is its name or id.
    """
    with logged_in() as client:
        from api.cli.show import moment_text, print_json, print_table  # noqa: PLC0415

        def row(entry: Version) -> list[object]:
            properties = ", ".join(found.name for found in entry.properties)
            return [entry.version, moment_text(entry.created), entry.size, entry.sha256[:12], properties]

        found = client.versions(name)
        if json_:
            print_json(found)
        else:
            columns = ("version", "created (UTC)", "bytes", "sha256", "properties")
            print_table(columns, [row(entry) for entry in found], none="There are none: its code has no workty.toml.")


@click.command()
@click.argument("workflow", shell_complete=workflow_names)
@click.option("--step", help="Only the step of this name or id.")
@click.option("--to", default="latest", show_default=True, help="The version.")
@click.option("--json", "json_", is_flag=True, help="For programs: JSON.")
def upgrade(workflow: str, step: str | None, to: str, json_: bool) -> None:
    """Give a workflow's steps the newest version.

    WORKFLOW is a name or an id. Values of properties stay; what a version adds or drops is told. A run that is under
    way goes on with what it began with.
    """
    with logged_in() as client:
        from api.cli.show import print_json  # noqa: PLC0415

        found = client.upgrade(workflow, step, to)
        if json_:
            print_json(found)
        for entry in () if json_ else found:
            click.echo(_told(entry))


def _told(entry: Upgraded) -> str:
    """What became of a step, in a line."""
    name = entry.instance.name or f"step {entry.instance.id[-6:]}"
    if not entry.changed:
        return clean(f"{name}: stays at {entry.after or 'code without version'}")
    news = [f"new: {', '.join(entry.added)}"] if entry.added else []
    news += [f"gone: {', '.join(entry.removed)}"] if entry.removed else []
    return clean(f"{name}: {entry.before or 'code without version'} -> {entry.after} {'; '.join(news)}".rstrip())
