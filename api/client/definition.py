"""Definitions of workflows in YAML: reads and checks them, without a server. What a server makes of them: `applying`.

name: nightly
desc: Copies the photos
deadline: 3600
steps:
  - workty: with-delay
    name: wait
    version: "1.2"
    properties: {delay: 2}
    policy: {retries: 3, on_failure: skip}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from api.client import policies
from api.client.errors import BadDefinition

#: Most bytes of a file, most steps, most values and levels in the properties of a step.
SIZE_LIMIT = 1024 * 1024
STEPS_LIMIT = 500
VALUES_LIMIT = 10_000
#: Most binary digits of a whole number: far more than servers take, and few enough to be written.
DIGITS_LIMIT = 1024
#: A whole number of as many is not shown in errors.
DIGITS_SHOWN = 64
DEPTH_LIMIT = 32
#: Most characters of names and descriptions, and most bytes of a property as JSON (REST contract, section 1).
NAME_LIMIT, DESC_LIMIT = 256, 4096
VERSION_LIMIT = 64
VALUE_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """A step: name or id of a workty, and the values of those of its properties that differ from its defaults.

    `version` is one of the workty's, or `latest`; without it an instance that is there keeps the one that it has.
    `policy` says what happens when the step fails; what it does not say is as the workty's manifest says.
    """

    workty: str
    name: str = ""
    desc: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow as it shall be. `place` is where it was read from, for errors.

    Its runs fail `deadline` seconds after their begin; None: never.
    """

    name: str
    steps: tuple[StepDefinition, ...]
    desc: str = ""
    place: str = "definition"
    deadline: float | None = None


def read_definition(path: str | Path) -> Definition:
    """The definition in a file. Raises `BadDefinition`, also if the file cannot be read."""
    place = str(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise BadDefinition(place, [f"cannot be read: {error.strerror}"]) from error
    return parse_definition(data, place)


def parse_definition(text: str | bytes, place: str = "definition") -> Definition:
    """The definition in a text. Raises `BadDefinition` with all problems that it finds."""
    if len(text) > SIZE_LIMIT:
        raise BadDefinition(place, [f"is larger than {SIZE_LIMIT // 1024} KiB"])
    try:
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadDefinition(place, [f"{where}is no YAML: {error.problem or error.context}"]) from error
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise BadDefinition(
            place, [f"is no YAML: {str(error).splitlines()[0] if str(error) else 'too deep'}"]
        ) from error
    reader = _Reader()
    found = reader.definition(data, place)
    if reader.problems:
        raise BadDefinition(place, reader.problems)
    return found


class _Reader:
    """Reads the parts of a definition, and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def definition(self, data: object, place: str) -> Definition:
        fields = self._fields(data, "the document", ("name", "steps"), ("desc", "deadline"))
        steps = fields.get("steps", [])
        if not isinstance(steps, list):
            self.problems.append(f"steps: expected a list, got {_kind(steps)}")
            steps = []
        if "steps" in fields and not steps and not self.problems:
            self.problems.append("steps: expected at least one step")
        if len(steps) > STEPS_LIMIT:
            self.problems.append(f"steps: expected at most {STEPS_LIMIT}, got {len(steps)}")
            steps = []
        return Definition(
            name=self._text(fields, "name", "", NAME_LIMIT, needed=True),
            desc=self._text(fields, "desc", "", DESC_LIMIT),
            steps=tuple(self._step(entry, number) for number, entry in enumerate(steps, start=1)),
            place=place,
            deadline=self._deadline(fields),
        )

    def _step(self, data: object, number: int) -> StepDefinition:
        place = f"step {number}"
        fields = self._fields(data, place, ("workty",), ("name", "desc", "version", "properties", "policy"))
        return StepDefinition(
            workty=self._text(fields, "workty", f"{place}: ", NAME_LIMIT, needed=True),
            name=self._text(fields, "name", f"{place}: ", NAME_LIMIT),
            desc=self._text(fields, "desc", f"{place}: ", DESC_LIMIT),
            properties=self._properties(fields.get("properties"), f"{place}: properties"),
            version=self._text(fields, "version", f"{place}: ", VERSION_LIMIT),
            policy=self._policy(fields, place),
        )

    def _fields(self, data: object, place: str, needed: tuple[str, ...], others: tuple[str, ...]) -> dict[str, Any]:
        """The known fields of a mapping."""
        known = needed + others
        if not isinstance(data, dict):
            self.problems.append(f"{place}: expected {', '.join(known)}, got {_kind(data)}")
            return {}
        for key in data:
            if key not in known:
                self.problems.append(f"{place}: unknown key {_shown(key)}. Known are {', '.join(known)}")
        for key in needed:
            if data.get(key) is None:
                self.problems.append(f"{place}: {key} is missing")
        return {key: value for key, value in data.items() if key in known and value is not None}

    def _text(self, fields: Mapping[str, Any], key: str, place: str, limit: int, *, needed: bool = False) -> str:
        value = fields.get(key, "")
        if not isinstance(value, str):
            self.problems.append(f"{place}{key}: expected a text, got {_kind(value)}; write it in quotes")
        elif len(value) > limit:
            self.problems.append(f"{place}{key}: expected at most {limit} characters, got {len(value)}")
        elif needed and key in fields and not value.strip():
            self.problems.append(f"{place}{key}: expected a text, got none")
        else:
            return value
        return ""

    def _deadline(self, fields: Mapping[str, Any]) -> float | None:
        value = fields.get("deadline")
        if value is None or policies.is_number(value):
            return value
        self.problems.append(f"deadline: expected a number of seconds, got {_kind(value)}")
        return None

    def _policy(self, fields: Mapping[str, Any], place: str) -> Mapping[str, Any]:
        if "policy" not in fields:
            return {}
        found = self._fields(fields["policy"], f"{place}: policy", (), tuple(policies.FIELDS))
        for key, value in found.items():
            expected = policies.misfit(key, value)
            if expected:
                self.problems.append(f"{place}: policy: {key}: expected {expected}, got {_kind(value)}")
        return found

    def _properties(self, data: object, place: str) -> Mapping[str, Any]:
        if data is None:
            return {}
        if not isinstance(data, dict):
            self.problems.append(f"{place}: expected names with values, got {_kind(data)}")
            return {}
        found = {}
        for key, value in data.items():
            if not isinstance(key, str):
                self.problems.append(f"{place}: {_shown(key)} is no text; write it in quotes")
                continue
            problem = _problem(value)
            if problem:
                self.problems.append(f"{place}: {_shown(key)}: {problem}")
            else:
                found[key] = value
        return found


def _problem(value: object) -> str:
    """Why a value is none of JSON's, or too large; "" if it is fine. Aliases in YAML can make small texts huge."""
    left, level = [(value, 1)], 0
    seen = 0
    while left:
        entry, level = left.pop()
        seen += 1
        if seen > VALUES_LIMIT or level > DEPTH_LIMIT:
            return f"has more than {VALUES_LIMIT} values or {DEPTH_LIMIT} levels"
        if isinstance(entry, dict):
            if not all(isinstance(key, str) for key in entry):
                return "has a key that is no text; write it in quotes"
            left.extend((inner, level + 1) for inner in entry.values())
        elif isinstance(entry, list):
            left.extend((inner, level + 1) for inner in entry)
        elif isinstance(entry, int) and entry.bit_length() > DIGITS_LIMIT:
            return "has a whole number that is too large"
        elif isinstance(entry, float) and not isfinite(entry):
            return f"{entry} is no number that JSON knows"
        elif not isinstance(entry, str | int | float | bool | None):
            return f"{_kind(entry)} is nothing that JSON knows; write it in quotes"
    size = len(json.dumps(value).encode())
    return "" if size <= VALUE_LIMIT else f"has {size} bytes as JSON, expected at most {VALUE_LIMIT}"


def _kind(data: object) -> str:
    """What somebody wrote, for errors: the value itself if it is short, else what kind it is."""
    names = {dict: "a mapping", list: "a list", int: "a large number", type(None): "nothing"}
    if isinstance(data, str):
        return _shown(data)
    if isinstance(data, bool):
        return str(data).lower()
    if isinstance(data, float) or (isinstance(data, int) and data.bit_length() < DIGITS_SHOWN):
        return str(data)
    return names.get(type(data), f"a {type(data).__name__}")


def _shown(key: object) -> str:
    text = str(key)
    return f"'{text[:64]}'" + ("..." if len(text) > 64 else "")
