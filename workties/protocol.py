"""The step protocol: what an agent and the program of a step say to each other.

The agent starts the program with three environment variables: `EVENTS_FD` names an inherited descriptor to which the
program writes JSON lines, `CONTROL_FD` one from which it reads them, `INPUT` a JSON file with what the step gets. This
module turns lines into frozen data and back. It opens, reads and writes nothing but the input file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workties import checks
from workties.checks import Body
from workties.errors import BadMessage
from workties.messages import MAX_LINE, MAX_STATE_BYTES, Assignment, Checkpoint, encode, parse_checkpoint

#: Environment variable: number of the descriptor to which the program writes lines.
EVENTS_FD = "WORKTY_EVENTS_FD"
#: Environment variable: number of the descriptor from which the program reads control lines.
CONTROL_FD = "WORKTY_CONTROL_FD"
#: Environment variable: path of the JSON file that `read_input` reads.
INPUT = "WORKTY_INPUT"

#: Longest line in either direction, bytes without its newline. A longer one is refused.
MAX_LINE_BYTES = 512 * 1024
#: Longest message beside a progress, characters; what is longer is cut.
MAX_PROGRESS_MESSAGE = 200
#: The control line that asks a program to pause at its next checkpoint.
PAUSE_LINE = b'{"type":"pause"}\n'


@dataclass(frozen=True, slots=True)
class StateLine:
    """The program entered `state`; with `memory` (plain JSON) this is also the checkpoint to resume from."""

    state: str
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


Line = StateLine | ProgressLine | LogText | OutputLine | PausedLine

_TYPES: dict[type[Line], str] = {
    StateLine: "state",
    ProgressLine: "progress",
    LogText: "log",
    OutputLine: "output",
    PausedLine: "paused",
}


@dataclass(frozen=True, slots=True)
class StepInput:
    """What a step gets: values of its properties by name, where to resume (None: start), the attempt's number,
    the entry point inside the package, and the workty's name."""

    properties: dict[str, Any] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    attempt: int = 1
    entry: str = ""
    workty: str = ""


def parse_line(line: bytes) -> Line:
    """One line of a program as data; a trailing newline is allowed.

    Too long texts are cut and a progress outside 0 to 1 is moved inside: a careless program should not fail for that.

    Raises:
        BadMessage: longer than `MAX_LINE_BYTES`, no JSON object, an unknown type, or a field that does not fit.
    """
    body = _object(line)
    match body.get("type"):
        case "state":
            memory = {} if body.get("memory") is None else _values(body, "memory")
            return StateLine(_clean(checks.text(body, "state")), memory)
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
            raise checks.wrong("type", "one of " + ", ".join(sorted(_TYPES.values())), other)


def encode_line(line: Line) -> bytes:
    """`line` as the program writes it, with its newline.

    Raises:
        BadMessage: a value in it is no plain JSON, nests too deep or is too large; names the field.
    """
    body = encode(line)
    for name in ("memory", "output", "progress"):
        checks.plain(body.get(name), name, limit=MAX_STATE_BYTES)
    return _json({"type": _TYPES[type(line)], **body}) + b"\n"


def asks_pause(line: bytes) -> bool:
    """Whether a control line asks to pause. Lines of a kind that this code does not know are no reason to fail."""
    try:
        return _object(line).get("type") == "pause"
    except BadMessage:
        return False


def step_input(assignment: Assignment) -> bytes:
    """The content of the input file for `assignment`."""
    return _json(
        {
            "properties": {found.name: found.value for found in assignment.properties},
            "checkpoint": encode(assignment.checkpoint),
            "attempt": assignment.attempt,
            "entry": assignment.workty.entry,
            "workty": assignment.workty.name,
        }
    )


def read_input(path: str | Path) -> StepInput:
    """The input file at `path` as data. Raises `BadMessage`, or `OSError` if it cannot be read."""
    body = _decoded(Path(path).read_bytes())
    return StepInput(
        properties=dict(checks.mapping(body, "properties")),
        checkpoint=parse_checkpoint(body),
        attempt=checks.whole(body, "attempt", least=1),
        entry=checks.text(body, "entry", limit=1024, empty=True),
        workty=checks.text(body, "workty"),
    )


def _object(line: bytes) -> Body:
    content = line.removesuffix(b"\n")
    if len(content) > MAX_LINE_BYTES:
        raise BadMessage(f"expected a line of at most {MAX_LINE_BYTES} bytes, got {len(content)}")
    return _decoded(content)


def _decoded(content: bytes) -> Body:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"expected a JSON object in UTF-8, got {content[:60]!r}") from error
    if not isinstance(found, Mapping):
        raise BadMessage(f"expected a JSON object, got {type(found).__name__}")
    return found


def _values(body: Body, name: str) -> dict[str, Any]:
    """The object in field `name`, within the limits of a state."""
    return dict(checks.plain(checks.mapping(body, name), name, limit=MAX_STATE_BYTES))


def _cut(body: Body, name: str, limit: int) -> str:
    """The text in field `name`, empty if absent, cut to `limit` characters."""
    return _clean((checks.optional_text(body, name, limit=MAX_LINE_BYTES) or "")[:limit])


def _clean(text: str) -> str:
    r"""`text` without half characters (JSON may hold a lone "\ud800"), which no database would take."""
    return text.encode("utf-8", "replace").decode()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
