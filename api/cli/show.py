"""What is printed: tables that look right on a terminal and in a pipe, JSON, and texts of others made harmless."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from api.cli.texts import clean

#: Columns that are never folded or shortened.
WHOLE = frozenset({"id", "run", "state"})
#: What other columns get at least before a table counts as too wide, in characters: those with names, and the rest.
NAME_COLUMNS, NAME, FOLDED = frozenset({"name", "workflow"}), 24, 10
#: A width that is none.
UNLIMITED = 100_000
COLOURS = {"completed": "green", "failed": "red", "stopped": "red", "running": "cyan", "waiting": "yellow"}


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
    widths = [max(cell_len(row[index].plain) for row in filled) for index in range(len(columns))]
    least = [_least(name, width) for name, width in zip(columns, widths, strict=True)]
    if console.is_terminal and sum(least) + 3 * len(columns) > console.width:
        _print_blocks(console, columns, filled)
        return
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
    for name, width in zip(columns, least, strict=True):
        table.add_column(name, no_wrap=name in WHOLE, overflow="fold", min_width=max(width, len(name)))
    for row in filled:
        table.add_row(*row)
    if console.is_terminal:
        console.print(table)
        return
    console.width = Measurement.get(console, console.options.update(max_width=UNLIMITED), table).maximum
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _least(column: str, longest: int) -> int:
    if column in WHOLE:
        return longest
    return min(longest, NAME if column in NAME_COLUMNS else FOLDED)


def _print_blocks(console: Console, columns: Sequence[str], rows: Iterable[Sequence[Text]]) -> None:
    """For terminals too narrow for a table: the fields of a row below each other."""
    for row in rows:
        for name, cell in zip(columns, row, strict=True):
            if cell.plain:
                console.print(Text.assemble((f"{name}: ", "bold"), cell))
        console.print()


def moment_text(moment: str | None) -> str:
    """A time of the server for people: UTC, to the second."""
    return moment[:19].replace("T", " ") if moment else ""


def duration_text(began: str | None, ended: str | None) -> str:
    """What lies between two times, in seconds; "" if one is unknown."""
    if not began or not ended:
        return ""
    return f"{(datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds():.1f} s"


def _cell(value: object) -> Text:
    text = clean("" if value is None else str(value))
    return Text(text, style=COLOURS.get(text, ""))
