"""Every message between server and boards, declared once, as frozen data.

Fields and rules: board protocol, section 8 of the live API contract. Names are snake_case here and camelCase on the
wire: `encode` makes plain JSON of data, `workties.parsing` makes data of JSON and checks it. No I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar

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
    """Bounds of one attempt: `wall`, `cpu`, `grace` in seconds, `memory`, `files`, `disk`, `output` in bytes.

    `files` is the largest file that may be written, `disk` what the step's home may hold, `output` what stdout and
    stderr may print together, `grace` the time from SIGTERM to SIGKILL.
    """

    wall: float = 3600.0
    cpu: float = 3600.0
    memory: int = 1024 * 1024 * 1024
    files: int = 256 * 1024 * 1024
    disk: int = 1024 * 1024 * 1024
    processes: int = 256
    output: int = 1024 * 1024
    grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Access:
    """What of the board a step asks for beyond its own folder; the board's settings say what it gets.

    `network`: other machines; `shared`: the folders that the board shares with steps; `devices`: the devices that it
    lends to them; `host`: the board itself, without a sandbox and under the agent's account.
    """

    network: bool = False
    shared: bool = False
    devices: bool = False
    host: bool = False


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
    """Down: take charge of an attempt. `package` is None for a workty stored without code: the attempt then fails.

    `trace` is the trace that the attempt is part of, as `workties.tracing` writes it.
    """

    kind: ClassVar[str] = "assignment"

    workflow: str
    workty: Program
    package: Package | None
    properties: tuple[Property, ...]
    checkpoint: Checkpoint | None
    limits: Limits
    access: Access = Access()
    lease_until: str | None = None
    trace: str | None = None


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
