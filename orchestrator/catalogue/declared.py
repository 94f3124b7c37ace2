"""Properties that packages declare, and what becomes of those that are there when another package takes over. Pure.

What a manifest declares is stored with its package; what people added beside it stays theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from workties.manifest import DeclaredProperty

Document = Mapping[str, Any]


def declaration(declared: DeclaredProperty) -> dict[str, Any]:
    """A declared property as it is stored with its package.

    `default` is JSON text, as in runs: JSON knows names and numbers that BSON does not.
    """
    return {
        "name": declared.name,
        "type": declared.type,
        "default": json.dumps(declared.default),
        "description": declared.description,
    }


def declarations(package: Document) -> list[dict[str, Any]]:
    """What a stored package declares, with defaults as values; packages without manifest declare nothing."""
    return [{**found, "default": json.loads(found["default"])} for found in package.get("properties") or ()]


def defaults(package: Document) -> dict[str, Any]:
    """The defaults of what a stored package declares, by name, in its order."""
    return {found["name"]: found["default"] for found in declarations(package)}


@dataclass(frozen=True, slots=True)
class Rearranged:
    """Properties after a package took over.

    Attributes:
        result: all of them in order, as documents `{_id, name, value}`.
        added: those of `result` that are new.
        reset: those of `result` that were there with another value, which was the old default; with that one.
        removed: ids of those that are gone.
    """

    result: tuple[Document, ...]
    added: tuple[Document, ...]
    reset: tuple[tuple[Document, Any], ...]
    removed: tuple[ObjectId, ...]

    @property
    def ids(self) -> list[ObjectId]:
        """Ids of `result`, in order."""
        return [found["_id"] for found in self.result]


def rearranged(
    present: Sequence[Document],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    values: Mapping[str, Any] | None = None,
    follow: bool,
    make_id: Callable[[str], ObjectId] = lambda name: ObjectId(),
) -> Rearranged:
    """Properties in the order of `new`, then those that people added. Who stays keeps its id.

    Args:
        present: what is there.
        old: defaults that were declared so far; what is only here goes.
        new: defaults that are declared from now on.
        values: of those that are added, where they are no defaults.
        follow: whether a value that still is the old default becomes the new one; other values stay in any case.
        make_id: the id of a new property, by its name.
    """
    known: dict[str, Document] = {}
    for found in present:
        known.setdefault(found["name"], found)
    offered = {**new, **{name: value for name, value in (values or {}).items() if name in new}}
    added = {name: {"_id": make_id(name), "name": name, "value": offered[name]} for name in new if name not in known}
    moved = {
        name: ({**known[name], "value": new[name]}, known[name]["value"])
        for name in new
        if follow and name in known and name in old and _follows(known[name]["value"], old[name], new[name])
    }
    staying = [added.get(name) or (moved[name][0] if name in moved else known[name]) for name in new]
    taken = {found["_id"] for found in staying}
    own = [found for found in present if found["_id"] not in taken and found["name"] not in old]
    kept = taken | {found["_id"] for found in own}
    return Rearranged(
        result=(*staying, *own),
        added=tuple(added.values()),
        reset=tuple(moved.values()),
        removed=tuple(found["_id"] for found in present if found["_id"] not in kept),
    )


def _follows(value: Any, old: Any, new: Any) -> bool:
    return _text(value) == _text(old) != _text(new)


def _text(value: Any) -> str:
    """JSON's own idea of what is the same: it knows 1 from true."""
    return json.dumps(value, sort_keys=True)
