"""What a board's agent must be told, from the environment or a TOML file. Reads; decides and starts nothing.

Every setting is an environment variable `WORKTY_<NAME>`, or `<name>` in lower case in the TOML file that
`WORKTY_CONFIG` names. The environment wins.
"""

from __future__ import annotations

import math
import os
import pwd
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from worker_agent.errors import BadSettings
from workties.process_log import FORMATS

T = TypeVar("T")

#: Where journal, cache and steps are kept unless told otherwise.
DEFAULT_STATE_DIR = "/var/lib/workty"
#: What the cache of packages may hold, bytes.
DEFAULT_CACHE_BYTES = 256 * 1024 * 1024
#: Seconds between two heartbeats. The server calls a board disconnected after 10 s of silence.
DEFAULT_HEARTBEAT_SECONDS = 3.0

#: `auto`: bubblewrap where it works; `bwrap`: nothing without it; `none`: without it.
SANDBOXES = ("auto", "bwrap", "none")

_PREFIX = "WORKTY_"
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_BOARD = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationSettings:
    """What steps may do on a board.

    Attributes:
        sandbox: one of `SANDBOXES`.
        step_account: number of the account that steps run under; None for one of its own for each slot if the agent is
            root, and else the agent's.
        step_network: steps that ask for it reach other machines.
        step_shared: folders that steps which ask for them may read and write.
        step_devices: devices that steps which ask for them may use.
        step_host: steps that ask for the board itself get it: no sandbox, and the agent's own account.
    """

    sandbox: str = "auto"
    step_account: int | None = None
    step_network: bool = True
    step_shared: tuple[Path, ...] = ()
    step_devices: tuple[Path, ...] = ()
    step_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How one board is set up.

    Attributes:
        amqp_url: the broker, with the board's own account; `memory://` for boards inside the server's process.
        board_id: the board's id; also the name of its account on the broker.
        server_url: the only server from which packages are fetched.
        state_dir: directory for journal, cache and steps; belongs to this board alone.
        slots: how many steps run at the same time.
        labels: what a workty may ask for, e.g. `camera`.
        heartbeat_seconds: time between two heartbeats.
        cache_bytes: what the cache of packages may hold.
        ca_file: certificates to trust instead of the system's, for broker and server.
        log_format: one of `FORMATS`: text on a terminal and JSON elsewhere, or always the same.
        isolation: what steps may do on this board.
    """

    amqp_url: str = field(repr=False)
    board_id: str
    server_url: str
    state_dir: Path
    slots: int = 1
    labels: tuple[str, ...] = ()
    heartbeat_seconds: float = DEFAULT_HEARTBEAT_SECONDS
    cache_bytes: int = DEFAULT_CACHE_BYTES
    ca_file: Path | None = None
    log_format: str = "auto"
    isolation: IsolationSettings = field(default_factory=IsolationSettings)


def load(environ: Mapping[str, str]) -> AgentSettings:
    """Settings from `environ` and the file that it names. Raises `BadSettings` with every problem at once."""
    reader = _Reader(environ)
    found: dict[str, Any] = {
        "amqp_url": reader.read("AMQP_URL", _amqp_url, hint="`workty board add NAME` on the server prints it."),
        "board_id": reader.read("BOARD_ID", _board_id, hint="`workty board add NAME` on the server prints it."),
        "server_url": reader.read("SERVER_URL", _http_url, hint="Set it to the server's address, e.g. https://host."),
        "state_dir": reader.read("STATE_DIR", Path, default=DEFAULT_STATE_DIR),
        "slots": reader.read("SLOTS", _whole(1, 1024), default=os.cpu_count() or 1),
        "labels": reader.read("LABELS", _labels, default=""),
        "heartbeat_seconds": reader.read("HEARTBEAT_SECONDS", _seconds, default=DEFAULT_HEARTBEAT_SECONDS),
        "cache_bytes": reader.read("CACHE_BYTES", _whole(0, 2**50), default=DEFAULT_CACHE_BYTES),
        "ca_file": reader.read("CA_FILE", _file, default=""),
        "log_format": reader.read("LOG_FORMAT", _one_of(FORMATS), default="auto"),
        "isolation": _isolation(reader),
    }
    if reader.problems:
        raise BadSettings(reader.problems)
    return AgentSettings(**found)


def _isolation(reader: _Reader) -> IsolationSettings:
    found: dict[str, Any] = {
        "sandbox": reader.read("SANDBOX", _one_of(SANDBOXES), default="auto"),
        "step_account": reader.read("STEP_ACCOUNT", _account, default=""),
        "step_network": reader.read("STEP_NETWORK", _flag, default=True),
        "step_shared": reader.read("STEP_SHARED", _folders, default=""),
        "step_devices": reader.read("STEP_DEVICES", _devices, default=""),
        "step_host": reader.read("STEP_HOST", _flag, default=False),
    }
    return IsolationSettings(**found)


class _Reader:
    """Reads one setting after another and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._environ = environ
        self._file = self._read_file(environ.get(f"{_PREFIX}CONFIG"))

    def read(self, name: str, parse: Callable[[Any], T], *, default: object = None, hint: str = "") -> T | None:
        """The setting `name` (without prefix), or None with a problem noted."""
        value = self._environ.get(_PREFIX + name) or self._file.get(name.lower(), default)
        if value is None:
            self.problems.append(f"{_PREFIX}{name} is not set. {hint}")
            return None
        try:
            return parse(value)
        except (ValueError, TypeError) as error:
            self.problems.append(f"{_PREFIX}{name}: {error}.")
            return None

    def _read_file(self, path: str | None) -> Mapping[str, object]:
        if not path:
            return {}
        import tomllib  # noqa: PLC0415  (most boards have no such file)

        try:
            return tomllib.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            self.problems.append(f"{_PREFIX}CONFIG: {path} cannot be read: {error}.")
            return {}


def _amqp_url(value: str) -> str:
    # Python's own errors about a URL may repeat parts of it, the password among them.
    expected = ValueError("expected amqp://account:password@host:port/vhost or amqps://...")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("amqp", "amqps", "memory") and parts.hostname and parts.port != 0
    except ValueError:
        raise expected from None
    if not usable:
        raise expected
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected http://host:port or https://host, got {value!r}")
    return value.rstrip("/")


def _board_id(value: str) -> str:
    if not isinstance(value, str) or not _BOARD.fullmatch(value):
        raise ValueError(f"expected letters, digits, - and _, got {value!r}")
    return value


def _labels(value: str | list[str]) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts if part.strip())


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}, got {value!r}")
        return value

    return parse


def _account(value: str | int) -> int | None:
    """The number of the account with this name or number; None if it is empty."""
    if value == "":
        return None
    try:
        number = int(value) if str(value).isdecimal() else pwd.getpwnam(str(value)).pw_uid
    except KeyError:
        raise ValueError(f"there is no account {value!r}; make it, e.g. with adduser --system {value}") from None
    if os.getuid() not in (0, number):
        raise ValueError(
            f"only an agent that runs as root may use another account, and this one runs as number {os.getuid()}"
        )
    return number


def _flag(value: str | bool) -> bool:
    if isinstance(value, bool):
        return value
    if value.lower() not in _FLAGS:
        raise ValueError(f"expected true or false, got {value!r}")
    return _FLAGS[value.lower()]


def _folders(value: str | list[str]) -> tuple[Path, ...]:
    return _paths(value, Path.is_dir, "folder")


def _devices(value: str | list[str]) -> tuple[Path, ...]:
    return _paths(value, lambda path: path.is_char_device() or path.is_block_device() or path.is_dir(), "device")


def _paths(value: str | list[str], fits: Callable[[Path], bool], kind: str) -> tuple[Path, ...]:
    found = tuple(map(Path, _labels(value)))
    for path in found:
        if not path.is_absolute() or path == Path("/") or not fits(path):
            raise ValueError(f"there is no {kind} {path}; expected absolute paths, separated by commas")
    return found


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        text = str(value)
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}, got {value!r}")
        return int(text)

    return parse


def _seconds(value: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0.05 <= number <= 8:
        raise ValueError(f"expected 0.05 to 8 seconds (10 s of silence mean a lost board), got {value!r}")
    return number


def _file(value: str) -> Path | None:
    if not value:
        return None
    if not Path(value).is_file():
        raise ValueError(f"there is no file {value}")
    return Path(value)
