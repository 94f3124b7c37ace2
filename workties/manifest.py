"""The manifest of a package, `workty.toml`: its fields, what they may hold, and their defaults.

Knows nothing of archives; whether the entry point exists is for `workties.package` to say.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from workties import checks
from workties.checks import Body
from workties.errors import BadMessage, BadPackage
from workties.messages import MAX_PROPERTY_BYTES, Limits
from workties.parsing import parse_limits

#: Name of the manifest inside a package.
MANIFEST = "workty.toml"
#: Largest manifest, bytes.
MAX_MANIFEST_BYTES = 64 * 1024

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
        return _manifest(body)
    except BadMessage as error:
        raise BadPackage(f"{MANIFEST}: {error.reason}") from error


def _manifest(body: Body) -> Manifest:
    _only(body, frozenset(f.name for f in fields(Manifest)))
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
        limits=_limits(body),
        labels=checks.texts(body, "labels", limit=64),
    )


def _property(body: Body) -> DeclaredProperty:
    _only(body, frozenset(f.name for f in fields(DeclaredProperty)))
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


def _limits(body: Body) -> Limits:
    if "limits" not in body:
        return Limits()
    found = checks.mapping(body, "limits")
    try:
        _only(found, frozenset(f.name for f in fields(Limits)))
        return parse_limits(found)
    except BadMessage as error:
        raise BadMessage(f"limits.{error.reason}") from error


def _only(body: Mapping[str, object], known: frozenset[str]) -> None:
    for key in body:
        if key not in known:
            raise BadMessage(f"{key}: unknown key; known are " + ", ".join(sorted(known)))


def _distinct(key: str, names: tuple[str, ...]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadMessage(f"{key}: {name!r} is there more than once")
