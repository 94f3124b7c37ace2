"""Texts of others made harmless. Imports nothing, so that commands that print little need nothing to be installed."""

from __future__ import annotations


def clean(text: str, *, keep: str = "") -> str:
    """A text with everything that a terminal might obey written as an escape, e.g. `\\x1b`; but for those to `keep`.

    Names and output come from other people and programs.
    """
    return "".join(c if c.isprintable() or c in keep or c == "\u00a0" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
