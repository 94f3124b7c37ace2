"""What a step is sent as its properties: references to outputs of earlier steps replaced, values in their types. Pure.

`${{ steps.NAME.output.KEY }}` in the value of a property stands for what an earlier step of the run has put out. A text
that is exactly one reference becomes that value, whatever its type; inside of a longer text it becomes text. `$${{`
stands for `${{` itself. The stored run keeps what its owner wrote; each dispatch replaces anew, by the same values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.runs.vocabulary import Run, Step
from workties.errors import BadMessage, BadProperties
from workties.messages import MAX_PROPERTY_BYTES, Property
from workties.plain import check
from workties.properties import fill

#: Most that all properties of a step may be together, bytes of JSON.
MAX_PROPERTIES_BYTES = 1024 * 1024
#: Longest reference, characters between its braces.
MAX_REFERENCE = 1000
#: Names that a message lists, and characters of a reference that it shows.
_LISTED, _SHOWN = 20, 100

_TOKEN = re.compile(r"\$\$\{\{|\$\{\{(?P<inside>.*?)\}\}|\$\{\{", re.DOTALL)
_REFERENCE = re.compile(r"\s*steps\s*\.(?P<step>.+?)\.\s*output\s*\.(?P<path>.+)", re.DOTALL)


class _Unresolved(ValueError):
    """A reference stands for nothing; the message says why."""


def assigned_properties(run: Run) -> tuple[Property, ...]:
    """What the current step of `run` is sent: its own properties in their order, then declared ones it does not have.

    Raises:
        BadProperties: a reference stands for nothing, a value does not fit its type, or is too large; with a sentence
            for each property.
    """
    step, values, problems = run.step, {}, []
    for each in step.properties:
        try:
            values[each.name] = _Resolver(run).value(each.value)
        except _Unresolved as error:
            problems.append(f"Property '{each.name}': {error}")
    if problems:
        raise BadProperties(problems)
    filled = fill(step.declared, values)
    _refuse_large(filled)
    own = tuple(Property(each.id, each.name, filled[each.name]) for each in step.properties)
    return own + tuple(Property(name, name, value) for name, value in filled.items() if name not in values)


def _refuse_large(values: dict[str, Any]) -> None:
    problems, total = [], 0
    for name, value in values.items():
        try:
            check(value, "value", limit=MAX_PROPERTY_BYTES)
            total += len(json.dumps(value))
        except BadMessage as error:
            problems.append(f"Property '{name}': {error.reason}")
    if not problems and total > MAX_PROPERTIES_BYTES:
        problems.append(f"All properties together have {total} bytes of JSON; {MAX_PROPERTIES_BYTES} is the most")
    if problems:
        raise BadProperties(problems)


class _Resolver:
    """Replaces the references in one property of the current step of a run."""

    def __init__(self, run: Run) -> None:
        self._earlier, self._later = run.steps[: run.current], run.steps[run.current :]
        self._room = MAX_PROPERTY_BYTES

    def value(self, value: Any) -> Any:
        """`value` with all references in it replaced. Raises `_Unresolved`."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.value(entry) for entry in value]
        if isinstance(value, dict):
            return {key: self.value(entry) for key, entry in value.items()}
        return value

    def _text(self, text: str) -> Any:
        whole = _TOKEN.fullmatch(text)
        if whole and whole["inside"] is not None and "}}" not in whole["inside"]:
            return self._meant(whole)
        parts, end = [], 0
        for token in _TOKEN.finditer(text):
            parts += [text[end : token.start()], self._inserted(token)]
            end = token.end()
        return "".join([*parts, text[end:]])

    def _inserted(self, token: re.Match[str]) -> str:
        if token[0] == "$${{":
            return "${{"
        found = self._meant(token)
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    def _meant(self, token: re.Match[str]) -> Any:
        """The value that a reference stands for."""
        inside = token["inside"]
        if inside is None:
            raise _Unresolved("'${{' has no '}}' after it. Write '$${{' for the characters themselves")
        shown = "${{ " + _shortened(inside.strip()) + " }}"
        parsed = _REFERENCE.fullmatch(inside) if len(inside) <= MAX_REFERENCE else None
        names = [part.strip() for part in [parsed["step"], *parsed["path"].split(".")]] if parsed else []
        if not all(names) or not names:
            raise _Unresolved(f"{shown} is no reference. Write ${{{{ steps.NAME.output.KEY }}}}")
        try:
            step = self._step(names[0])
            if step.output is None:
                raise _Unresolved(f"step '{_shortened(names[0])}' has no output: it is {step.state.value}")
            found = _inside(step.output, names[1:], f"the output of step '{_shortened(names[0])}'")
        except _Unresolved as error:
            raise _Unresolved(f"{shown}: {error}") from error
        self._take_room(found)
        return found

    def _step(self, name: str) -> Step:
        """The earlier step of this name; one that was renamed during the run is known by its names before as well."""
        found = [step for step in self._earlier if step.label == name]
        found = found or [step for step in self._earlier if name in step.former]
        if len(found) == 1:
            return found[0]
        if found:
            raise _Unresolved(f"{len(found)} earlier steps are called '{name}'. Give them different names")
        if any(step.label == name for step in self._later):
            raise _Unresolved(f"step '{_shortened(name)}' does not come before this one")
        known = _listed(step.label for step in self._earlier)
        raise _Unresolved(f"there is no earlier step '{_shortened(name)}'; there is {known}")

    def _take_room(self, found: Any) -> None:
        """Refuse what grows too large while it is put together."""
        self._room -= len(json.dumps(found))
        if self._room < 0:
            raise _Unresolved(f"with what its references stand for it has more than {MAX_PROPERTY_BYTES} bytes of JSON")


def _inside(value: Any, path: Sequence[str], place: str) -> Any:
    """The part of `value` that `path` leads to: keys of objects, and indexes of lists from 0."""
    for key in path:
        if isinstance(value, dict):
            if key not in value:
                raise _Unresolved(f"{place} has no '{_shortened(key)}'; it has {_listed(value)}")
            value = value[key]
        elif isinstance(value, list):
            if not (key.isascii() and key.isdecimal() and len(key) < 10 and int(key) < len(value)):
                raise _Unresolved(f"{place} has no entry '{_shortened(key)}'; it is a list of {len(value)}, from 0")
            value = value[int(key)]
        else:
            raise _Unresolved(f"{place} is no object and no list, and has no '{_shortened(key)}'")
        place = f"'{_shortened(key)}' in {place}" if len(place) < 3 * _SHOWN else place
    return value


def _listed(names: Iterable[str]) -> str:
    found = [f"'{_shortened(name)}'" for name in names]
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return ", ".join(found[:_LISTED]) + more if found else "none"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
