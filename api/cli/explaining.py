"""Prints the story of a run."""

from __future__ import annotations

import click
from rich.text import Text

from api.cli.show import COLOURS, moment_text, plain_console, print_json
from api.cli.texts import clean
from api.client.models import Explanation


def print_explanation(found: Explanation, *, json_: bool) -> None:
    """Print what happened, a line each, and last what is so now; as JSON one document."""
    if json_:
        print_json(found)
        return
    about = f"Run {clean(found.id)} of '{clean(found.name)}', number {found.number}: "
    state = Text(clean(found.state), style=COLOURS.get(found.state, ""))
    plain_console().print(Text(about) + state + Text(" (times in UTC)"), soft_wrap=True)
    for place, moment in enumerate(found.story):
        step = f"{clean(moment.step)}: " if moment.step else ""
        click.echo(f"{moment_text(moment.at)}  {step}{clean(moment.text)}")
        for line in moment.lines:
            click.echo(f"{'':19}  | {clean(line, keep=chr(9))}")
        if found.missing and not place:
            click.echo(f"{'':19}  ... {found.missing} changes after that are no longer kept")
    help_ = f". {clean(found.help)}" if found.help else ""
    click.echo(f"now: {clean(found.now)}{help_}")
