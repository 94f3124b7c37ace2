"""The agent's end of the step protocol: what it and the program of a step say to each other.

The agent starts the program with three environment variables: `EVENTS_FD` names an inherited descriptor to which the
program writes JSON lines, `CONTROL_FD` one from which it reads them, `INPUT` a JSON file with what the step gets. This
module turns a program's lines into frozen data, and an assignment into an input file; it reads and writes nothing. The
other end, for programs in Python, is `workties.channel`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workties import checks
from workties.bounds import MAX_LINE, MAX_LINE_BYTES, MAX_PROGRESS_MESSAGE, MAX_STATE_BYTES
from workties.checks import Body
from workties.errors import BadMessage
from workties.messages import Assignment, encode

#: The control line that asks a program to pause at its next checkpoint.
PAUSE_LINE = b'{"type":"pause"}\n'


@dataclass(frozen=True, slots=True)
class StateLine:
    """The program entered `state`; with `memory` (plain JSON) this is also the checkpoint to resume from."""

    state: str
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckpointLine:
    """A checkpoint within the state that the program is in, with `memory` as of a state."""

    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """How far the step is, 0 to 1, and a few words about it."""

    progress: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class LogText:
    """A text for the step's log."""

    text: str


@dataclass(frozen=True, slots=True)
class OutputLine:
    """Values to merge into the step's output; the newest value of a name wins."""

    output: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PausedLine:
    """A pause was asked, the last checkpoint stands, and the program now ends with exit code 0."""


Line = StateLine | CheckpointLine | ProgressLine | LogText | OutputLine | PausedLine


def parse_line(line: bytes) -> Line:
    """One line of a program as data; a trailing newline is allowed.

    Too long texts are cut and a progress outside 0 to 1 is moved inside: a careless program should not fail for that.

    Raises:
        BadMessage: longer than `MAX_LINE_BYTES`, no JSON object, an unknown type, or a field that does not fit.
    """
    body = _object(line)
    match body.get("type"):
        case "state":
            return StateLine(checks.text(body, "state"), _memory(body))
        case "checkpoint":
            return CheckpointLine(_memory(body))
        case "progress":
            progress = checks.number(body, "progress", least=-1e18)
            return ProgressLine(min(max(progress, 0.0), 1.0), _cut(body, "message", MAX_PROGRESS_MESSAGE))
        case "log":
            return LogText(_cut(body, "text", MAX_LINE))
        case "output":
            return OutputLine(_values(body, "output"))
        case "paused":
            return PausedLine()
        case other:
            raise checks.wrong("type", "one of checkpoint, log, output, paused, progress, state", other)


def step_input(assignment: Assignment) -> bytes:
    """The content of the input file for `assignment`."""
    found = {
        "properties": {found.name: found.value for found in assignment.properties},
        "checkpoint": encode(assignment.checkpoint),
        "attempt": assignment.attempt,
        "entry": assignment.workty.entry,
        "workty": assignment.workty.name,
        "board": assignment.board,
    }
    return json.dumps(found, separators=(",", ":")).encode()


def _object(line: bytes) -> Body:
    content = line.removesuffix(b"\n")
    if len(content) > MAX_LINE_BYTES:
        raise BadMessage(f"expected a line of at most {MAX_LINE_BYTES} bytes, got {len(content)}")
    try:
        found = json.loads(content)
        if b"\\ud" in content.lower():
            found = _without_halves(found)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"expected a JSON object in UTF-8, got {content[:60]!r}") from error
    if not isinstance(found, Mapping):
        raise BadMessage(f"expected a JSON object, got {type(found).__name__}")
    return found


def _memory(body: Body) -> dict[str, Any]:
    """What to remember, nothing if absent."""
    return {} if body.get("memory") is None else _values(body, "memory")


def _values(body: Body, name: str) -> dict[str, Any]:
    """The object in field `name`, within the limits of a state."""
    return dict(checks.plain(checks.mapping(body, name), name, limit=MAX_STATE_BYTES))


def _cut(body: Body, name: str, limit: int) -> str:
    """The text in field `name`, empty if absent, cut to `limit` characters."""
    return (checks.optional_text(body, name, limit=MAX_LINE_BYTES) or "")[:limit]


def _without_halves(found: object) -> object:
    r"""`found` with "?" for half characters (JSON may hold a lone "\ud800"), which no database would take."""
    return json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
