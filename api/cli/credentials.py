"""Where the command line keeps its login, and which server and token a command uses. Never a password."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from api.client.errors import BadUse
from api.client.rest import server_url

#: The server where nothing else is said.
DEFAULT_URL = "http://127.0.0.1:9999"
#: Most bytes of the file.
SIZE_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Login:
    """A server and the right to use it. `expires` is ISO 8601 text, "" if unknown; so is `account_id`."""

    url: str
    token: str
    account_id: str = ""
    expires: str = ""


class LoginFile:
    """The file `workty/login.json` in the user's configuration.

    Args:
        environ: names the place by `XDG_CONFIG_HOME`, or `HOME`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        given = environ.get("XDG_CONFIG_HOME", "")
        # A relative path is to be ignored, says the specification of base directories.
        base = Path(given) if given.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".config"
        self.path = base / "workty" / "login.json"

    def read(self) -> Login | None:
        """The login, None if there is none. Raises `BadUse` if the file cannot be used."""
        try:
            with self.path.open("rb") as file:
                found = json.loads(file.read(SIZE_LIMIT))
            return Login(*(str(found[name]) for name in ("url", "token", "account_id", "expires")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError) as error:
            why = getattr(error, "strerror", None) or "it is not what workty login writes"
            raise BadUse(f"{self.path} cannot be used: {why}. Log in again: workty login") from error

    def write(self, login: Login) -> None:
        """Keep the login, readable by nobody else; whole or not at all. Raises `BadUse` if it cannot be written."""
        new = self.path.with_name(f".login.{secrets.token_hex(8)}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.parent.chmod(0o700)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(login), file)
                file.flush()
                os.fsync(descriptor)
            new.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            raise BadUse(f"{self.path} cannot be written: {error.strerror}") from error

    def remove(self) -> None:
        """Forget the login. Raises `BadUse` if the file cannot be removed."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise BadUse(f"{self.path} cannot be removed: {error.strerror}") from error


def choose(environ: Mapping[str, str], stored: Login | None, now: datetime) -> Login:
    """The server and token to use: the environment's `WORKTY_URL` and `WORKTY_TOKEN`, else the stored login.

    A stored token is used for the server that gave it and for no other. Raises `BadUse` if nobody is logged in there.
    """
    url, token = environ.get("WORKTY_URL", ""), environ.get("WORKTY_TOKEN", "")
    if token:
        at = server_url(url or (stored.url if stored else DEFAULT_URL))
        known = stored.account_id if stored and stored.token == token else ""
        return Login(at, token, environ.get("WORKTY_ACCOUNT_ID", known))
    wanted = server_url(url) if url else (stored.url if stored else DEFAULT_URL)
    if stored is None or stored.url != wanted:
        raise BadUse(f"Not logged in at {wanted}. Log in: workty login {wanted}")
    if stored.expires and datetime.fromisoformat(stored.expires) <= now:
        raise BadUse(f"The login at {wanted} has ended. Log in again: workty login {wanted}")
    return stored
