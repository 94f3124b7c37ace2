"""Settings of the server's processes, from the environment and an optional TOML file.

Every setting is named WORKTY_<NAME> in the environment and <name> in the file that WORKTY_CONFIG names; the environment
wins, and an empty value counts as unset. Reads that file and nothing else; a board's settings are in `worker_agent`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from orchestrator.errors import BadSettings
from workties.process_log import FORMATS

#: Names for `load`'s `required` of processes that talk to a real broker and a real database.
BOTH_URLS = frozenset({"amqp_url", "mongo_url"})
#: Largest file of settings that is read, bytes.
MAX_FILE_BYTES = 64 * 1024
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a process of the server needs to know before it starts. Printing it shows no passwords.

    Attributes:
        amqp_url: the broker; None where everything runs in one process.
        mongo_url: the database, which it names; None where everything runs in one process.
        host, port: where REST and live API listen.
        public_url: where clients and boards reach them; no slash at its end.
        admin_email, admin_password: the first account; without a password a random one is made and shown once.
        heartbeat_timeout_seconds: silence after which a board counts as disconnected.
        lost_after_seconds: further silence after which what it ran counts as lost.
        log_level: one of `LOG_LEVELS`.
        log_format: one of `FORMATS`: text on a terminal and JSON elsewhere, or always the same.
        name_email_login: whether name and e-mail do as credentials, for trying things out on this machine.
        audit_days: how long the audit trail keeps an entry.
        log_days: how long lines that steps wrote are kept, but not longer than runs.
        run_days: how long a run is kept after it has finished; the latest one of each workflow stays.
        tls_cert, tls_key: files (PEM) with which the API serves HTTPS; both or none.
        cors_origins: origins whose pages may use the API from a browser.
        rate_limit: most requests of an account, and of an address, e.g. "110 per second".
        rate_limit_storage: where requests are counted; in memory unless several processes share a storage.
        rate_limit_loopback: whether requests from this machine are counted too.
        metrics_public: whether everybody may read /metrics.
        trusted_proxies: how many proxies in front of the API say truly in X-Forwarded-* who asked.
    """

    amqp_url: str | None = field(default=None, repr=False)
    mongo_url: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 9999
    public_url: str = "http://127.0.0.1:9999"
    admin_email: str = "supervisor@localhost"
    admin_password: str | None = field(default=None, repr=False)
    heartbeat_timeout_seconds: float = 10.0
    lost_after_seconds: float = 5.0
    log_level: str = "INFO"
    log_format: str = "auto"
    name_email_login: bool = False
    audit_days: float = 365.0
    log_days: float = 30.0
    run_days: float = 365.0
    tls_cert: str | None = None
    tls_key: str | None = None
    cors_origins: tuple[str, ...] = ()
    rate_limit: str = "110 per second"
    rate_limit_storage: str = field(default="memory://", repr=False)
    rate_limit_loopback: bool = False
    metrics_public: bool = False
    trusted_proxies: int = 0

    def redacted(self) -> dict[str, Any]:
        """All settings by name, for logs: passwords are replaced by `***`."""
        shown = dataclasses.asdict(self)
        for name in ("amqp_url", "mongo_url", "public_url", "rate_limit_storage"):
            shown[name] = _without_password(shown[name])
        shown["admin_password"] = shown["admin_password"] and "***"
        return shown


def load(environ: Mapping[str, str], *, required: Collection[str] = ()) -> ServerSettings:
    """The settings that `environ` and its WORKTY_CONFIG file give, defaults for the others.

    Parameters:
        required: names that must be set, e.g. `BOTH_URLS`.

    Raises:
        BadSettings: with one line for each setting that is missing, wrong or unknown.
    """
    given, problems = _given(environ)
    values: dict[str, Any] = {}
    for name, rule in RULES.items():
        if name in given:
            text, source = given[name]
            try:
                values[name] = rule.parse(text)
            except ValueError as error:
                problems.append(f"{source} {error}, e.g. {rule.example}")
        elif name in required:
            problems.append(f"{_variable(name)} is not set. Set it, e.g. {_variable(name)}={rule.example}")
    if ("tls_cert" in values) != ("tls_key" in values):
        problems.append("WORKTY_TLS_CERT and WORKTY_TLS_KEY belong together: set both, or none")
    if not problems and "public_url" not in values:
        values["public_url"], problem = _default_public_url(ServerSettings(**values))
        problems += problem
    if not problems:
        problems += _only_on_loopback(ServerSettings(**values))
    if problems:
        raise BadSettings(problems)
    return ServerSettings(**values)


class Rule(NamedTuple):
    """How a setting's text is read. `parse` raises ValueError that says what it must be, without repeating secrets."""

    parse: Callable[[str], Any]
    example: str


def _given(environ: Mapping[str, str]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Text and source of each setting that is given, and what is wrong with the file."""
    path = environ.get("WORKTY_CONFIG")
    in_file, problems = _from_file(path) if path else ({}, [])
    in_environ = {name: (environ[_variable(name)], _variable(name)) for name in RULES if environ.get(_variable(name))}
    return in_file | in_environ, problems


def _from_file(path: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - reads no more than the limit
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            return {}, [f"{path} (WORKTY_CONFIG) is larger than {MAX_FILE_BYTES} bytes. Is it a file of settings?"]
        entries = tomllib.loads(content.decode())
    except OSError as error:
        return {}, [f"{path} (WORKTY_CONFIG) cannot be read: {error.strerror}. Correct the path or its permissions"]
    except ValueError as error:
        return {}, [f"{path} (WORKTY_CONFIG) is not valid TOML: {error}"]
    found, problems = {}, []
    for name, value in entries.items():
        if name not in RULES:
            problems.append(f"{path}: '{name}' is no setting. Settings are: {', '.join(RULES)}")
        elif isinstance(value, bool) or not isinstance(value, str | int | float):
            problems.append(f"{path}: '{name}' must be a text or a number, e.g. {RULES[name].example}")
        elif value != "":
            found[name] = (str(value), f"{path}: '{name}'")
    return found, problems


def _variable(name: str) -> str:
    return f"WORKTY_{name.upper()}"


def _default_public_url(settings: ServerSettings) -> tuple[str, list[str]]:
    """The address that is listened on, as long as others can use it."""
    host = settings.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        example = f"http://server.example:{settings.port}"
        return "", [
            f"WORKTY_PUBLIC_URL is not set, and nobody can connect to {host}. Set where clients and boards reach this "
            f"server, e.g. WORKTY_PUBLIC_URL={example}"
        ]
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}", []


def _only_on_loopback(settings: ServerSettings) -> list[str]:
    if not settings.name_email_login or settings.host == "localhost":
        return []
    with suppress(ValueError):
        if ipaddress.ip_address(settings.host).is_loopback:
            return []
    return [
        f"WORKTY_NAME_EMAIL_LOGIN lets everybody in who knows a name and an e-mail, and WORKTY_HOST is "
        f"{settings.host}. Use it only with WORKTY_HOST=127.0.0.1"
    ]


# --- how texts are read


def _url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """The URL's parts. Errors do not repeat the URL, which may have a password in it."""
    expected = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"must be a URL that begins with {expected}") from None
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"must be a URL with a host that begins with {expected}")
    return parts


def _amqp_url(text: str) -> str:
    parts = _url(text, ("amqp", "amqps"))
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("must be a URL whose port is a number from 0 to 65535") from None
    return text


def _mongo_url(text: str) -> str:
    if not _url(text, ("mongodb", "mongodb+srv")).path.strip("/"):
        raise ValueError("must be a URL that names a database after the host")
    return text


def _public_url(text: str) -> str:
    parts = _url(text, ("http", "https"))
    if parts.query or parts.fragment or parts.username:
        raise ValueError("must be an address without login, '?' and '#'")
    return text.rstrip("/")


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if not all(part.replace("-", "").isalnum() for part in text.split(".")):
            raise ValueError(f"must be an IP address or host name, not {text!r}") from None
        return text


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError(f"must be a whole number from 1 to 65535, not {text!r}")
    return int(text)


def _email(text: str) -> str:
    name, _, host = text.partition("@")
    if not name or not host or "@" in host or len(text) > 256:
        raise ValueError(f"must be an e-mail address, not {text!r}")
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 86400:
        raise ValueError(f"must be a number of seconds above 0 and up to a day, not {text!r}")
    return value


def _days(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 36500:
        raise ValueError(f"must be a number of days above 0 and up to 36500, not {text!r}")
    return value


def _flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError(f"must be 0 or 1, not {text!r}")
    return text == "1"


def _log_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}, not {text!r}")
    return text.upper()


def _log_format(text: str) -> str:
    if text not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}, not {text!r}")
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(",") if origin.strip())
    for origin in origins:
        parts = _url(origin, ("http", "https"))
        if parts.path or parts.query or parts.fragment or parts.username:
            raise ValueError(f"must be origins without path, separated by commas, not {origin!r}")
    return origins


def _rate(text: str) -> str:
    if not all(re.fullmatch(r"\s*[1-9][0-9]{0,8} per (second|minute|hour|day)\s*", part) for part in text.split(";")):
        raise ValueError(f"must be a number of requests per second, minute, hour or day, not {text!r}")
    return text


def _storage(text: str) -> str:
    scheme, separator, _ = text.partition("://")
    if not separator or not scheme.isascii() or not scheme.replace("+", "").isalnum():
        raise ValueError("must be memory:// or the URL of a storage")
    return text


def _few(text: str) -> int:
    if not text.isdecimal() or int(text) > 10:
        raise ValueError(f"must be a whole number from 0 to 10, not {text!r}")
    return int(text)


def _without_password(url: str | None) -> str | None:
    """The URL with `***` for the password; everything after the first `:` of the login counts as one."""
    if url is None or "@" not in url:
        return url
    scheme, _, rest = url.partition("://")
    login, _, host = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}:***@{host}"


RULES: Mapping[str, Rule] = {
    "amqp_url": Rule(_amqp_url, "amqp://workty:password@127.0.0.1:5672/workty"),
    "mongo_url": Rule(_mongo_url, "mongodb://127.0.0.1:27017/workty?replicaSet=rs0"),
    "host": Rule(_host, "127.0.0.1"),
    "port": Rule(_port, "9999"),
    "public_url": Rule(_public_url, "http://server.example:9999"),
    "admin_email": Rule(_email, "supervisor@localhost"),
    "admin_password": Rule(str, "a-long-password"),
    "heartbeat_timeout_seconds": Rule(_seconds, "10"),
    "lost_after_seconds": Rule(_seconds, "5"),
    "log_level": Rule(_log_level, "INFO"),
    "log_format": Rule(_log_format, "json"),
    "tls_cert": Rule(str, "/etc/workty/server.crt"),
    "tls_key": Rule(str, "/etc/workty/server.key"),
    "cors_origins": Rule(_origins, "https://pages.example"),
    "rate_limit": Rule(_rate, "110 per second"),
    "rate_limit_storage": Rule(_storage, "memory://"),
    "rate_limit_loopback": Rule(_flag, "0"),
    "metrics_public": Rule(_flag, "0"),
    "trusted_proxies": Rule(_few, "1"),
    "name_email_login": Rule(_flag, "1"),
    "audit_days": Rule(_days, "365"),
    "log_days": Rule(_days, "30"),
    "run_days": Rule(_days, "365"),
}
