"""What is printed: text of others made harmless, tables that look right on a terminal and in a pipe, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

#: Columns that are never folded or shortened.
WHOLE = frozenset({"id", "run", "state"})
COLOURS = {"completed": "green", "failed": "red", "stopped": "red", "running": "cyan", "waiting": "yellow"}


def clean(text: str, *, keep: str = "") -> str:
    """A text with everything that a terminal might obey written as an escape, e.g. `\\x1b`; but for those to `keep`.

    Names and output come from other people and programs.
    """
    return "".join(c if c.isprintable() or c in keep or c == "\u00a0" else _escaped(c) for c in text)


def plain_console(*, stderr: bool = False) -> Console:
    """A console that reads no markup in what it prints."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def any_text_can_be_printed() -> None:
    """Where a stream knows fewer characters than Unicode, the others are written as escapes instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def print_json(document: object, *, line: bool = False) -> None:
    """Print a document as JSON; on one line where it is one of many."""
    click.echo(json.dumps(plain(document), indent=None if line else 2))


def plain(value: object) -> Any:
    """Data of the client as JSON's values."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, none: str) -> None:
    """Print rows under their columns' names; where there are none, say `none` on stderr."""
    filled = [[_cell(value) for value in row] for row in rows]
    if not filled:
        click.echo(none, err=True)
        return
    console = plain_console()
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
    for column in columns:
        whole = column in WHOLE
        longest = max(Measurement.get(console, console.options, row[columns.index(column)]).maximum for row in filled)
        table.add_column(column, no_wrap=whole, overflow="fold", min_width=longest if whole else None)
    for row in filled:
        table.add_row(*row)
    if console.is_terminal:
        console.print(table)
        return
    unlimited = console.options.update(max_width=100_000)
    console.width = Measurement.get(console, unlimited, table).maximum
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _cell(value: object) -> Text:
    text = clean("" if value is None else str(value))
    return Text(text, style=COLOURS.get(text, ""))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
