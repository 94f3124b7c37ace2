"""A group of commands whose help lists them by who needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import click


class Sections(click.Group):
    """Lists its commands under headings, in the order of `sections`; what is in none comes last."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        named = {name for names in self.sections.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in named]
        width = max(len(name) for name in self.commands)
        for heading, names in {**self.sections, "Others": others}.items():
            known = [(name, self.commands[name]) for name in names if name in self.commands]
            if known:
                limit = formatter.width - 6 - width
                with formatter.section(heading):
                    formatter.write_dl(
                        [(name.ljust(width), command.get_short_help_str(limit)) for name, command in known]
                    )
