"""`workty workty`: commands for those who write workties. What each does is elsewhere; here are options and exit codes.

Boards and users' commands need none of what these import, so they import it when they are called.
"""

from __future__ import annotations

import click


@click.group()
def workty() -> None:
    """Write workties: make, run, check, draw, pack."""
