"""Every message between server and boards, declared once: frozen data with validation.

Fields and rules: board protocol, section 8 of the live API contract. Names are snake_case here and camelCase on the
wire. `parse_event`, `parse_assignment` and `parse_control` turn JSON objects into data or raise `BadMessage`;
`encode` turns data into JSON objects. No I/O, no clock, no broker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar

from workties import checks
from workties.bounds import MAX_LINE, MAX_STATE_BYTES
from workties.checks import Body
from workties.errors import BadMessage

#: Version of the board protocol that this code speaks.
VERSION = 1

#: Largest value of one property, bytes of JSON.
MAX_PROPERTY_BYTES = 64 * 1024
#: Lines of output kept as the reason of a failure.
LAST_OUTPUT_LINES = 20

FAILURE_CODES = frozenset({"exit", "signal", "timeout", "memory", "output", "package", "crash"})
REFUSAL_CODES = frozenset({"no-slot", "no-runtime", "bad-package", "bad-message", "old-attempt"})
INTERRUPTION_CODES = frozenset({"paused", "stopped", "reboot", "agent-stop"})

#: Name of the Celery task that takes charge of a step on a board.
EXECUTE_TASK = "workty.execute"
#: Topic exchange to which boards publish.
EVENTS_EXCHANGE = "board-events"


def board_queue(board: str) -> str:
    """Name of the queue that holds assignments for `board`."""
    return f"board.{board}"


def control_queue(board: str) -> str:
    """Name of the queue that holds stop, pause and forget for `board`."""
    return f"board.{board}.control"


# --- parts of messages


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something waits, failed or was interrupted: a stable code and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a step can go on: the workty's own state and what it wants to remember (plain JSON)."""

    state: str
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a step; `value` is plain JSON."""

    id: str
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one attempt: `wall`, `cpu`, `grace` in seconds, `memory`, `files`, `output` in bytes.

    `files` is the largest file that may be written, `output` what stdout and stderr may print together, `grace` the
    time from SIGTERM to SIGKILL.
    """

    wall: float = 3600.0
    cpu: float = 3600.0
    memory: int = 1024 * 1024 * 1024
    files: int = 256 * 1024 * 1024
    processes: int = 256
    output: int = 1024 * 1024
    grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """What an assignment runs: the workty's id, name and version, its language, and the entry point in its package."""

    id: str
    name: str
    version: str
    language: str
    entry: str


@dataclass(frozen=True, slots=True)
class Package:
    """Where the code is: digest and size (bytes) to check, a signed URL to fetch it from, and when that ends."""

    sha256: str
    size: int
    url: str
    url_expires: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used: wall and CPU time (seconds), peak memory (bytes)."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of output: when (board's clock), `stdout`, `stderr` or `log`, and the text."""

    at: str
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class ActiveAttempt:
    """An attempt that a board has in its journal and that has not ended; `seq` is the last event it numbered."""

    run: str
    instance: str
    attempt: int
    seq: int
    state: str


# --- messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What every message about a step has. `at` is the sender's clock and information only; `seq` counts from 1."""

    kind: ClassVar[str] = ""
    final: ClassVar[bool] = False

    id: str
    at: str
    board: str
    run: str
    instance: str
    attempt: int
    seq: int
    v: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment(Message):
    """Down: take charge of an attempt. `package` is None for a workty stored without code: the attempt then fails."""

    kind: ClassVar[str] = "assignment"

    workflow: str
    workty: Program
    package: Package | None
    properties: tuple[Property, ...]
    checkpoint: Checkpoint | None
    limits: Limits
    lease_until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control(Message):
    """Down: stop, pause or forget an attempt, as `command` says. `grace` (seconds) is read for stop only."""

    kind: ClassVar[str] = "control"

    command: str
    reason: str = ""
    grace: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Message):
    """Up: the attempt is in the board's journal."""

    kind: ClassVar[str] = "accepted"
    slot: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Message):
    """Up: the board will not run this attempt."""

    kind: ClassVar[str] = "refused"
    final: ClassVar[bool] = True
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReported(Message):
    """Up: the program runs (`running`) or entered a state of its own; the checkpoint to resume from, if it made one."""

    kind: ClassVar[str] = "state"
    state: str
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Message):
    """Up: how far the step is, 0 to 1. May be dropped on the way."""

    kind: ClassVar[str] = "progress"
    progress: float
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(Message):
    """Up: lines of output; `dropped` counts those that were not kept."""

    kind: ClassVar[str] = "log"
    lines: tuple[LogLine, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Message):
    """Up: the program ended well."""

    kind: ClassVar[str] = "completed"
    final: ClassVar[bool] = True
    return_code: int = 0
    output: dict[str, Any] = field(default_factory=dict)
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Message):
    """Up: the program ended badly; `return_code` is None where it never began."""

    kind: ClassVar[str] = "failed"
    final: ClassVar[bool] = True
    reason: Reason
    return_code: int | None = None
    last_output: tuple[str, ...] = ()
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(Message):
    """Up: the attempt ended before its time; another one may resume from the checkpoint."""

    kind: ClassVar[str] = "interrupted"
    final: ClassVar[bool] = True
    reason: Reason
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Up: the board lives. `load` is the 1-minute average, `memory` and `disk` are free bytes, `temperature` in C.

    `seq` counts from 1 within one `boot` (id of a start of the agent); `queued` counts events not yet sent.
    """

    kind: ClassVar[str] = "heartbeat"

    id: str
    at: str
    board: str
    boot: str
    seq: int
    active: tuple[ActiveAttempt, ...]
    slots: int
    runtimes: tuple[str, ...]
    labels: tuple[str, ...] = ()
    load: float | None = None
    memory: int | None = None
    temperature: float | None = None
    disk: int | None = None
    agent_version: str = ""
    platform: str = ""
    queued: int = 0
    run: None = None
    instance: None = None
    attempt: None = None
    v: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye(Heartbeat):
    """Up: the agent leaves on its own account; what was active has been reported as interrupted before."""

    kind: ClassVar[str] = "bye"
    reason: str = ""


StepEvent = Accepted | Refused | StateReported | Progress | Log | Completed | Failed | Interrupted
BoardEvent = StepEvent | Heartbeat | Bye


# --- to JSON


def encode(message: object) -> Any:
    """`message` (any data of this module) as plain JSON: dataclasses become objects with camelCase names."""
    if is_dataclass(message) and not isinstance(message, type):
        kind = getattr(message, "kind", "")
        body = {camel(f.name): encode(getattr(message, f.name)) for f in fields(message)}
        return {"kind": kind, **body} if kind else body
    if isinstance(message, tuple | list):
        return [encode(entry) for entry in message]
    return message


@cache
def camel(name: str) -> str:
    """The wire's spelling of a field name: `return_code` -> `returnCode`."""
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


# --- from JSON


def parse_assignment(body: object) -> Assignment:
    """An assignment from JSON. Raises `BadMessage`."""
    found = _versioned(body)
    package = None if found.get("package") is None else parse_package(checks.mapping(found, "package"))
    return Assignment(
        **_step(found),
        workflow=checks.text(found, "workflow"),
        workty=_program(checks.mapping(found, "workty")),
        package=package,
        properties=checks.items(found, "properties", parse_property, limit=1000),
        checkpoint=parse_checkpoint(found),
        limits=parse_limits(checks.mapping(found, "limits")),
        lease_until=checks.optional_text(found, "leaseUntil"),
    )


def parse_control(body: object) -> Control:
    """A stop, pause or forget from JSON. Raises `BadMessage`."""
    found = _versioned(body)
    return Control(
        **_step(found),
        command=checks.choice(found, "command", frozenset({"stop", "pause", "forget"})),
        reason=checks.optional_text(found, "reason", limit=4096) or "",
        grace=checks.optional_number(found, "grace", least=0.0, most=86400.0),
    )


def parse_event(body: object) -> BoardEvent:
    """An event of a board from JSON, by its `kind`. Raises `BadMessage`."""
    found = _versioned(body)
    build = _EVENTS.get(str(found.get("kind")))
    if build is None:
        raise checks.wrong("kind", "one of " + ", ".join(sorted(_EVENTS)), found.get("kind"))
    return build(found)


def parse_checkpoint(body: Body) -> Checkpoint | None:
    """The field `checkpoint` of `body`; None where it is absent or null. Raises `BadMessage`."""
    if body.get("checkpoint") is None:
        return None
    found = checks.mapping(body, "checkpoint")
    memory = dict(checks.mapping(found, "memory")) if found.get("memory") is not None else {}
    checks.plain(memory, "checkpoint.memory", limit=MAX_STATE_BYTES)
    return Checkpoint(state=checks.text(found, "state"), memory=memory)


def parse_limits(body: Body) -> Limits:
    """Limits from JSON; what is absent keeps its default. Raises `BadMessage`."""
    seconds = {n: checks.number(body, n, most=30 * 86400.0) for n in ("wall", "cpu", "grace") if n in body}
    counts = {n: checks.whole(body, n) for n in ("memory", "files", "processes", "output") if n in body}
    return Limits(**seconds, **counts)  # type: ignore[arg-type]


def parse_property(body: Body) -> Property:
    """A property from JSON. Raises `BadMessage`."""
    value = checks.plain(body.get("value"), "value", limit=MAX_PROPERTY_BYTES)
    return Property(id=checks.text(body, "id"), name=checks.text(body, "name"), value=value)


def parse_package(body: Body) -> Package:
    """Where a package is, from JSON. Raises `BadMessage`."""
    sha256 = checks.text(body, "sha256", limit=64)
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise checks.wrong("sha256", "64 hexadecimal digits", sha256)
    return Package(
        sha256=sha256,
        size=checks.whole(body, "size"),
        url=checks.text(body, "url", limit=2048),
        url_expires=checks.text(body, "urlExpires"),
    )


def parse_usage(body: Body) -> Usage:
    """The field `usage` of `body`; absent means nothing was measured. Raises `BadMessage`."""
    if body.get("usage") is None:
        return Usage()
    found = checks.mapping(body, "usage")
    return Usage(checks.number(found, "wall"), checks.number(found, "cpu"), checks.whole(found, "memory"))


def _versioned(body: object) -> Body:
    if not isinstance(body, Mapping):
        raise BadMessage(f"expected a JSON object, got {type(body).__name__}")
    if body.get("v") != VERSION:
        raise checks.wrong("v", f"protocol version {VERSION}", body.get("v"))
    return body


def _step(body: Body) -> dict[str, Any]:
    return {
        "id": checks.text(body, "id"),
        "at": checks.text(body, "at", limit=64),
        "board": checks.text(body, "board"),
        "run": checks.text(body, "run"),
        "instance": checks.text(body, "instance"),
        "attempt": checks.whole(body, "attempt", least=1),
        "seq": checks.whole(body, "seq", least=1),
    }


def _program(body: Body) -> Program:
    return Program(
        id=checks.text(body, "id"),
        name=checks.text(body, "name"),
        version=checks.text(body, "version", empty=True),
        language=checks.text(body, "language"),
        entry=checks.text(body, "entry", limit=1024, empty=True),
    )


def _reason(body: Body, codes: frozenset[str]) -> Reason:
    found = checks.mapping(body, "reason")
    return Reason(checks.choice(found, "code", codes), checks.text(found, "message", limit=4096, empty=True))


def _accepted(body: Body) -> Accepted:
    return Accepted(**_step(body), slot=checks.whole(body, "slot", most=1024))


def _refused(body: Body) -> Refused:
    return Refused(**_step(body), reason=_reason(body, REFUSAL_CODES))


def _state(body: Body) -> StateReported:
    return StateReported(**_step(body), state=checks.text(body, "state"), checkpoint=parse_checkpoint(body))


def _progress(body: Body) -> Progress:
    message = checks.optional_text(body, "message", limit=200) or ""
    return Progress(**_step(body), progress=checks.number(body, "progress", most=1.0), message=message)


def _log(body: Body) -> Log:
    return Log(
        **_step(body),
        lines=checks.items(body, "lines", _log_line, limit=10_000),
        dropped=checks.whole(body, "dropped"),
    )


def _log_line(body: Body) -> LogLine:
    return LogLine(
        at=checks.text(body, "at", limit=64),
        stream=checks.choice(body, "stream", frozenset({"stdout", "stderr", "log"})),
        text=checks.text(body, "text", limit=MAX_LINE, empty=True),
    )


def _completed(body: Body) -> Completed:
    output = dict(checks.mapping(body, "output"))
    checks.plain(output, "output", limit=MAX_STATE_BYTES)
    return Completed(
        **_step(body), return_code=checks.whole(body, "returnCode", most=0), output=output, usage=parse_usage(body)
    )


def _failed(body: Body) -> Failed:
    return Failed(
        **_step(body),
        reason=_reason(body, FAILURE_CODES),
        return_code=checks.optional_whole(body, "returnCode", least=-1024, most=2**32),
        last_output=checks.texts(body, "lastOutput", limit=LAST_OUTPUT_LINES, length=MAX_LINE),
        usage=parse_usage(body),
    )


def _interrupted(body: Body) -> Interrupted:
    return Interrupted(**_step(body), reason=_reason(body, INTERRUPTION_CODES), checkpoint=parse_checkpoint(body))


def _active(body: Body) -> ActiveAttempt:
    return ActiveAttempt(
        run=checks.text(body, "run"),
        instance=checks.text(body, "instance"),
        attempt=checks.whole(body, "attempt", least=1),
        seq=checks.whole(body, "seq"),
        state=checks.text(body, "state", empty=True),
    )


def _vital(body: Body) -> dict[str, Any]:
    return {
        "id": checks.text(body, "id"),
        "at": checks.text(body, "at", limit=64),
        "board": checks.text(body, "board"),
        "boot": checks.text(body, "boot"),
        "seq": checks.whole(body, "seq", least=1),
        "active": checks.items(body, "active", _active, limit=10_000),
        "slots": checks.whole(body, "slots", least=1, most=1024),
        "runtimes": checks.texts(body, "runtimes", limit=64),
        "labels": checks.texts(body, "labels", limit=64),
        "load": checks.optional_number(body, "load"),
        "memory": checks.optional_whole(body, "memory"),
        "temperature": checks.optional_number(body, "temperature"),
        "disk": checks.optional_whole(body, "disk"),
        "agent_version": checks.optional_text(body, "agentVersion") or "",
        "platform": checks.optional_text(body, "platform") or "",
        "queued": checks.whole(body, "queued"),
    }


def _heartbeat(body: Body) -> Heartbeat:
    return Heartbeat(**_vital(body))


def _bye(body: Body) -> Bye:
    return Bye(**_vital(body), reason=checks.optional_text(body, "reason", limit=4096) or "")


_EVENTS: dict[str, Callable[[Body], BoardEvent]] = {
    "accepted": _accepted,
    "refused": _refused,
    "state": _state,
    "progress": _progress,
    "log": _log,
    "completed": _completed,
    "failed": _failed,
    "interrupted": _interrupted,
    "heartbeat": _heartbeat,
    "bye": _bye,
}
