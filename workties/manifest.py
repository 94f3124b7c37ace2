"""The manifest of a package, `workty.toml`: its fields, what they may hold, and their defaults.

Knows nothing of archives; whether the entry point exists is for `workties.package` to say.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from workties import checks
from workties.checks import Body
from workties.errors import BadMessage, BadPackage
from workties.messages import MAX_PROPERTY_BYTES, Access, Limits
from workties.parsing import parse_access, parse_limits
from workties.policy import OF_INSTANCES, Policy, parse_policy

T = TypeVar("T")

#: Name of the manifest inside a package.
MANIFEST = "workty.toml"
#: Largest manifest, bytes.
MAX_MANIFEST_BYTES = 64 * 1024

#: What becomes of an attempt that was cut short and has no checkpoint to go on from: it starts again, or fails.
ON_INTERRUPT = frozenset({"restart", "fail"})
#: Longest time that a workty may ask its board to be silent, seconds.
MAX_OFFLINE_GRACE = 7 * 86400.0

LANGUAGES = frozenset({"python", "nodejs", "java", "executable"})

_TYPES: dict[str, Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "any": lambda value: True,
}


@dataclass(frozen=True, slots=True)
class DeclaredProperty:
    """A property that a workty reads: `type` is text, number, integer, boolean or any; `default` is plain JSON."""

    name: str
    type: str = "any"
    default: Any = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a step goes on when its attempt was cut short.

    Attributes:
        resumable: the next attempt gets the last checkpoint, if there is one.
        on_interrupt: what happens without a checkpoint to go on from, one of `ON_INTERRUPT`.
        offline_grace: seconds for which its board may be silent, or restart, before the step goes to another one;
            0 means as long as boards in general may.
    """

    resumable: bool = True
    on_interrupt: str = "restart"
    offline_grace: float = 0.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `workty.toml` says. `entry` is relative to the manifest; a board must have all `labels`."""

    name: str
    version: str
    language: str
    entry: str
    description: str = ""
    states: tuple[str, ...] = ()
    properties: tuple[DeclaredProperty, ...] = ()
    limits: Limits = field(default_factory=Limits)
    labels: tuple[str, ...] = ()
    access: Access = field(default_factory=Access)
    recovery: Recovery = field(default_factory=Recovery)
    policy: Policy = field(default_factory=Policy)


def parse_manifest(text: str) -> Manifest:
    """The manifest in `text` (TOML).

    Raises:
        BadPackage: no TOML, an unknown or missing key, or a value that does not fit; the message names the key.
    """
    try:
        body = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadPackage(f"{MANIFEST}: no TOML ({error})") from error
    try:
        return build(body)
    except BadMessage as error:
        raise BadPackage(f"{MANIFEST}: {error.reason}") from error


def build(body: Body) -> Manifest:
    """The manifest that TOML or JSON says. Raises `BadMessage`, which names the key."""
    _only(body, (_names(Manifest) - {"recovery"}) | _names(Recovery))
    properties = checks.items(body, "properties", _property, limit=100) if "properties" in body else ()
    _distinct("properties", tuple(found.name for found in properties))
    states = checks.texts(body, "states", limit=1000)
    _distinct("states", states)
    return Manifest(
        name=checks.text(body, "name"),
        version=checks.text(body, "version", limit=64),
        language=checks.choice(body, "language", LANGUAGES),
        entry=checks.text(body, "entry", limit=1024),
        description=checks.optional_text(body, "description", limit=4096) or "",
        states=states,
        properties=properties,
        limits=_table(body, "limits", Limits, parse_limits),
        labels=checks.texts(body, "labels", limit=64),
        access=_table(body, "access", Access, parse_access),
        recovery=parse_recovery(body),
        policy=_policy(body),
    )


def parse_recovery(body: Body) -> Recovery:
    """How a step goes on, from JSON or TOML; what is absent keeps its default. Raises `BadMessage`."""
    found: dict[str, Any] = {}
    if "resumable" in body:
        found["resumable"] = checks.flag(body, "resumable")
    if "on_interrupt" in body:
        found["on_interrupt"] = checks.choice(body, "on_interrupt", ON_INTERRUPT)
    if "offline_grace" in body:
        found["offline_grace"] = checks.number(body, "offline_grace", most=MAX_OFFLINE_GRACE)
    return Recovery(**found)


def _property(body: Body) -> DeclaredProperty:
    _only(body, _names(DeclaredProperty))
    kind = checks.choice({"type": "any", **body}, "type", frozenset(_TYPES))
    default = checks.plain(body.get("default", ""), "default", limit=MAX_PROPERTY_BYTES)
    if "default" in body and not _TYPES[kind](default):
        raise checks.wrong("default", f"a value of type {kind}", default)
    return DeclaredProperty(
        name=checks.text(body, "name"),
        type=kind,
        default=default,
        description=checks.optional_text(body, "description", limit=4096) or "",
    )


def _table(body: Body, key: str, kind: type[T], parse: Callable[[Body], T]) -> T:
    """The table `key` as data of `kind`, whose fields are its keys; the defaults if it is absent."""
    if key not in body:
        return kind()
    found = checks.mapping(body, key)
    try:
        _only(found, _names(kind))
        return parse(found)
    except BadMessage as error:
        raise BadMessage(f"{key}.{error.reason}") from error


def _policy(body: Body) -> Policy:
    if "policy" not in body:
        return Policy()
    found = checks.mapping(body, "policy")
    try:
        _only(found, _names(Policy) - OF_INSTANCES)
        return Policy(**parse_policy(found))
    except BadMessage as error:
        raise BadMessage(f"policy.{error.reason}") from error


def _names(kind: Any) -> frozenset[str]:
    return frozenset(f.name for f in fields(kind))


def _only(body: Mapping[str, object], known: frozenset[str]) -> None:
    for key in body:
        if key not in known:
            raise BadMessage(f"{key}: unknown key; known are " + ", ".join(sorted(known)))


def _distinct(key: str, names: tuple[str, ...]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadMessage(f"{key}: {name!r} is there more than once")
