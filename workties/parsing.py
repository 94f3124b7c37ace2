"""Messages between server and boards from JSON: every field checked, every error naming the field.

`parse_event`, `parse_assignment` and `parse_control` turn JSON objects into the data of `workties.messages`, or raise
`BadMessage`; the other functions do the same for their parts. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from workties import checks
from workties.bounds import MAX_LINE, MAX_STATE_BYTES
from workties.checks import Body
from workties.errors import BadMessage
from workties.messages import (
    FAILURE_CODES,
    INTERRUPTION_CODES,
    LAST_OUTPUT_LINES,
    MAX_PROPERTY_BYTES,
    REFUSAL_CODES,
    VERSION,
    Accepted,
    Access,
    ActiveAttempt,
    Assignment,
    BoardEvent,
    Bye,
    Checkpoint,
    Completed,
    Control,
    Failed,
    Heartbeat,
    Interrupted,
    Limits,
    Log,
    LogLine,
    Package,
    Program,
    Progress,
    Property,
    Reason,
    Refused,
    StateReported,
    Usage,
)
from workties.tracing import MAX_TRACE


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
        access=parse_access(checks.mapping(found, "access")) if found.get("access") is not None else Access(),
        lease_until=checks.optional_text(found, "leaseUntil"),
        trace=checks.optional_text(found, "trace", limit=MAX_TRACE),
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
    counts = {n: checks.whole(body, n) for n in ("memory", "files", "disk", "processes", "output") if n in body}
    return Limits(**seconds, **counts)  # type: ignore[arg-type]


def parse_access(body: Body) -> Access:
    """What a step asks for, from JSON; what is absent is not asked for. Raises `BadMessage`."""
    return Access(**{n: checks.flag(body, n) for n in ("network", "shared", "devices", "host") if n in body})


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
