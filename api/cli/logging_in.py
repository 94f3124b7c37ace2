"""`workty login` and `workty logout`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from api.cli.problems import AWAY, WRONG_USE, Problem, client_extra, client_problems

if TYPE_CHECKING:
    from api.client import Client

#: Most characters of a password (REST contract, section 1).
PASSWORD_LIMIT = 1024


@click.command()
@click.argument("url", required=False)
@click.option("--email", help="The account; asked for if it is not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input; needs --email.")
def login(url: str | None, email: str | None, password_stdin: bool) -> None:
    """Log in at a server, for the commands that follow.

    URL is the server's address, http://127.0.0.1:9999 unless WORKTY_URL or the last login says otherwise. Kept are the
    address and a token, never the password; the token ends after a day.
    """
    client_extra()
    from api.cli.credentials import DEFAULT_URL, LoginFile  # noqa: PLC0415
    from api.cli.credentials import Login as Kept  # noqa: PLC0415
    from api.client import BadUse, Client, Refused  # noqa: PLC0415
    from api.client.rest import server_url  # noqa: PLC0415

    file = LoginFile(os.environ)
    with client_problems():
        try:
            last = file.read()
        except BadUse:
            last = None  # it is about to be replaced
        server = server_url(url or os.environ.get("WORKTY_URL") or (last.url if last else DEFAULT_URL))
        _warn_if_open(server)
        who, password = _ask(server, email, password_stdin)
        try:
            client = Client.login(server, who, password, ca_file=os.environ.get("WORKTY_CA_FILE"))
        except Refused as error:
            if error.status == 401:
                raise Problem(f"E-mail or password are wrong at {server}", WRONG_USE) from error
            raise
        expires = client.expires.isoformat(timespec="seconds") if client.expires else ""
        file.write(Kept(client.url, client.token, client.account_id, expires))
        client.close()
    click.echo(f"Logged in at {server} until {expires}.")


@click.command()
def logout() -> None:
    """End the login: revoke its token and forget it."""
    client_extra()
    from api.cli.credentials import LoginFile  # noqa: PLC0415
    from api.client import Client, NotReachable, Refused  # noqa: PLC0415

    file = LoginFile(os.environ)
    with client_problems():
        kept = file.read()
        if kept is None:
            click.echo("Nobody is logged in.")
            return
        file.remove()
        try:
            with Client(kept.url, kept.token, ca_file=os.environ.get("WORKTY_CA_FILE")) as client:
                client.logout()
        except Refused:
            pass  # it had ended already
        except NotReachable as error:
            raise Problem(
                f"The login is forgotten, but its token lives on until {kept.expires}: {error}", AWAY
            ) from error
    click.echo(f"Logged out at {kept.url}.")


@contextmanager
def logged_in() -> Iterator[Client]:
    """A client with the present login; what it raises inside the block becomes `Problem`."""
    client = connected()
    with client_problems(client.url), client:
        yield client


def connected() -> Client:
    """A client for the server that the environment or the login names. Ends the command where there is none."""
    client_extra()
    from datetime import UTC, datetime  # noqa: PLC0415

    from api.cli.credentials import LoginFile, choose  # noqa: PLC0415
    from api.cli.show import any_text_can_be_printed  # noqa: PLC0415
    from api.client import Client  # noqa: PLC0415

    any_text_can_be_printed()
    with client_problems():
        file = LoginFile(os.environ)
        # What the environment says completely needs no file.
        complete = (
            os.environ.get("WORKTY_URL") and os.environ.get("WORKTY_TOKEN") and os.environ.get("WORKTY_ACCOUNT_ID")
        )
        chosen = choose(os.environ, None if complete else file.read(), datetime.now(UTC))
        ca_file = os.environ.get("WORKTY_CA_FILE")
        return Client(chosen.url, chosen.token, account_id=chosen.account_id or None, ca_file=ca_file)


def _ask(server: str, email: str | None, password_stdin: bool) -> tuple[str, str]:
    """E-mail and password, from options, standard input or questions on the terminal."""
    if password_stdin:
        if email is None:
            raise Problem("--password-stdin needs --email", WRONG_USE)
        text = sys.stdin.read(PASSWORD_LIMIT + 2)
        return email, text.removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise Problem("There is no terminal to ask for the password. Use --email and --password-stdin", WRONG_USE)
    who = email or click.prompt(f"E-mail at {server}", err=True)
    return who, click.prompt("Password", hide_input=True, err=True)


def _warn_if_open(server: str) -> None:
    from api.client.rest import is_loopback  # noqa: PLC0415

    if server.startswith("http://") and not is_loopback(server):
        click.echo("workty: Not encrypted: others in the network can read the password. Use https if you can", err=True)
