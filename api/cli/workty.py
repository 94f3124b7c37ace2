"""`workty workty`: commands for those who write workties. What each does is elsewhere; here they are gathered."""

from __future__ import annotations

import click

from api.cli.pushing import push
from api.cli.versions import versions


@click.group()
def workty() -> None:
    """Write workties: push, list versions."""


workty.add_command(push)
workty.add_command(versions)
