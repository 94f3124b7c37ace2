"""`workty admin dead-letters`: what each of its commands does and prints. Each returns an exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from api.cli.show import any_text_can_be_printed, moment_text, print_json, print_table
from api.cli.texts import clean
from orchestrator.broker import server_app
from orchestrator.dead_letters import DeadLetters
from orchestrator.letters import Letter
from orchestrator.settings import load

#: Most characters of a body that are shown to people, and of a reason in a table.
SHOWN_BODY, SHOWN_REASON = 8192, 120
NONE = "There are no dead letters."


def list_letters(environ: Mapping[str, str], limit: int, *, as_json: bool) -> int:
    """List the oldest letters, at most `limit`."""
    found, total = _letters(environ).read(limit)
    if as_json:
        print_json([_document(letter) for letter in found])
        return 0
    rows = [(letter.id, moment_text(letter.at), letter.origin, letter.size, _short(letter)) for letter in found]
    print_table(("id", "since (UTC)", "from", "bytes", "reason"), rows, none=NONE)
    if total > len(found):
        click.echo(f"These are the oldest {len(found)} of {total}. More: --limit", err=True)
    return 0


def show(environ: Mapping[str, str], letter_id: str, *, as_json: bool) -> int:
    """Show one letter; its body as far as people read."""
    letter = _letters(environ).find(letter_id)
    if as_json:
        print_json(_document(letter) | {"body": letter.body})
        return 0
    body = letter.body if isinstance(letter.body, str) else json.dumps(letter.body, indent=2)
    rest = len(body) - SHOWN_BODY
    for name, value in (
        ("id", letter.id),
        ("since", f"{moment_text(letter.at)} UTC" if letter.at else "unknown"),
        ("from", letter.origin),
        ("sender", letter.sender or "unknown"),
        ("reason", letter.reason),
        ("replay", f"to queue {letter.replay.queue}" if letter.obstacle is None else f"in vain: {letter.obstacle}"),
        ("bytes", letter.size),
    ):
        click.echo(f"{name:7} {clean(str(value))}")
    click.echo("\n" + clean(body[:SHOWN_BODY], keep="\n"))
    if rest > 0:
        click.echo(f"... and {rest} characters more. All of it: --json")
    return 0


def replay(environ: Mapping[str, str], letter_id: str | None) -> int:
    """Replay one letter, or all; 1 if some of all stay."""
    letters = _letters(environ)
    if letter_id is not None:
        letter = letters.replay(letter_id)
        click.echo(f"Dead letter {letter.id} is in queue {letter.replay.queue} again.")
        return 0
    replayed, staying = letters.replay_all()
    if not replayed and not staying:
        return _none()
    click.echo(f"Dead letters: {replayed} replayed, {len(staying)} kept.")
    for error in staying:
        click.echo(clean(str(error)), err=True)
    return 1 if staying else 0


def drop(environ: Mapping[str, str], letter_id: str | None, *, asks: bool) -> int:
    """Delete one letter, or all, after a question if it is to ask."""
    letters = _letters(environ)
    if letter_id is not None:
        click.echo(f"Dead letter {letters.drop(letter_id).id} is deleted.")
        return 0
    total = letters.read(0)[1]
    if not total:
        return _none()
    if asks:
        click.confirm(f"Delete all dead letters ({total})? Nothing brings them back", abort=True)
    click.echo(f"Dead letters: {letters.drop_all()} deleted.")
    return 0


def _none() -> int:
    click.echo(NONE, err=True)
    return 0


def _letters(environ: Mapping[str, str]) -> DeadLetters:
    any_text_can_be_printed()
    return DeadLetters(server_app(str(load(environ, required={"amqp_url"}).amqp_url)))


def _document(letter: Letter) -> dict[str, Any]:
    """A letter without its body, as scripts get it."""
    names = ("id", "at", "origin", "sender", "reason", "size", "obstacle")
    return {name: value for name, value in asdict(letter).items() if name in names}


def _short(letter: Letter) -> str:
    return letter.reason if len(letter.reason) <= SHOWN_REASON else letter.reason[: SHOWN_REASON - 3] + "..."
