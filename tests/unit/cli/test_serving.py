"""How commands of the server end that cannot do their work."""

from __future__ import annotations

import click
import pytest
from pymongo.errors import NotPrimaryError

from api.cli.serving import run_command


def test_a_database_that_steps_down_while_a_process_starts_is_one_line() -> None:
    def start(environ: dict[str, str]) -> int:
        raise NotPrimaryError("not primary")

    with pytest.raises(click.ClickException, match="The database is not reachable now"):
        run_command(start, {})
