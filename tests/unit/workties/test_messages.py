"""The messages between server and boards: each survives the wire, and what does not fit is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workties import messages
from workties.bounds import MAX_STATE_BYTES
from workties.errors import BadMessage
from workties.messages import encode
from workties.parsing import parse_assignment, parse_control, parse_event, parse_limits
from workties.plain import MAX_DEPTH

# Half characters cannot be written as UTF-8.
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
COUNT = st.integers(0, 2**53)
SECONDS = st.floats(0, 86400)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)

CHECKPOINT = st.builds(messages.Checkpoint, NAME, OBJECT)
LIMITS = st.builds(messages.Limits, SECONDS, SECONDS, COUNT, COUNT, COUNT, COUNT, COUNT, SECONDS)
USAGE = st.builds(messages.Usage, SECONDS, SECONDS, COUNT)
STEP: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("id", "at", "board", "run", "instance"), NAME),
    **dict.fromkeys(("attempt", "seq"), st.integers(1, 2**53)),
}
VITAL: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("id", "at", "board", "boot"), NAME),
    "seq": st.integers(1, 2**53),
    "active": st.lists(st.builds(messages.ActiveAttempt, NAME, NAME, st.integers(1, 99), COUNT, TEXT), max_size=3).map(
        tuple
    ),
    "slots": st.integers(1, 1024),
    **dict.fromkeys(("runtimes", "labels"), st.lists(TEXT, max_size=3).map(tuple)),
    **dict.fromkeys(("load", "temperature"), st.none() | st.floats(-100, 100)),
    **dict.fromkeys(("memory", "disk"), st.none() | COUNT),
    **dict.fromkeys(("agent_version", "platform"), TEXT),
    "queued": COUNT,
}


def reason(codes: frozenset[str]) -> st.SearchStrategy[messages.Reason]:
    return st.builds(messages.Reason, st.sampled_from(sorted(codes)), TEXT)


ASSIGNMENTS = st.builds(
    messages.Assignment,
    **STEP,
    workflow=NAME,
    workty=st.builds(messages.Program, NAME, NAME, TEXT, NAME, TEXT),
    package=st.none()
    | st.builds(messages.Package, st.text("0123456789abcdef", min_size=64, max_size=64), COUNT, NAME, NAME),
    properties=st.lists(st.builds(messages.Property, NAME, NAME, JSON), max_size=3).map(tuple),
    checkpoint=st.none() | CHECKPOINT,
    limits=LIMITS,
    access=st.builds(messages.Access, *[st.booleans()] * 4),
    lease_until=st.none() | TEXT,
)
CONTROLS = st.builds(
    messages.Control,
    **STEP,
    command=st.sampled_from(["stop", "pause", "forget"]),
    reason=TEXT,
    grace=st.none() | SECONDS,
)
LOG_LINE = st.builds(messages.LogLine, NAME, st.sampled_from(["stdout", "stderr", "log"]), TEXT)
EVENTS = st.one_of(
    st.builds(messages.Accepted, **STEP, slot=st.integers(0, 1024)),
    st.builds(messages.Refused, **STEP, reason=reason(messages.REFUSAL_CODES)),
    st.builds(messages.StateReported, **STEP, state=NAME, checkpoint=st.none() | CHECKPOINT),
    st.builds(messages.Progress, **STEP, progress=st.floats(0, 1), message=TEXT),
    st.builds(messages.Log, **STEP, lines=st.lists(LOG_LINE, max_size=3).map(tuple), dropped=COUNT),
    st.builds(messages.Completed, **STEP, return_code=st.just(0), output=OBJECT, usage=USAGE),
    st.builds(
        messages.Failed,
        **STEP,
        reason=reason(messages.FAILURE_CODES),
        return_code=st.none() | st.integers(-64, 255),
        last_output=st.lists(TEXT, max_size=3).map(tuple),
        usage=USAGE,
    ),
    st.builds(
        messages.Interrupted,
        **STEP,
        reason=reason(messages.INTERRUPTION_CODES),
        checkpoint=st.none() | CHECKPOINT,
    ),
    st.builds(messages.Heartbeat, **VITAL),
    st.builds(messages.Bye, **VITAL, reason=TEXT),
)


def over_the_wire(message: object) -> Any:
    return json.loads(json.dumps(encode(message)))


# --- what fits


@settings(deadline=None)
@given(ASSIGNMENTS)
def test_an_assignment_survives_the_wire(message: messages.Assignment) -> None:
    assert parse_assignment(over_the_wire(message)) == message


@settings(deadline=None)
@given(CONTROLS)
def test_a_control_survives_the_wire(message: messages.Control) -> None:
    assert parse_control(over_the_wire(message)) == message


@settings(deadline=None, max_examples=300)
@given(EVENTS)
def test_every_kind_of_event_survives_the_wire(message: messages.BoardEvent) -> None:
    found = parse_event(over_the_wire(message))
    assert found == message
    assert type(found) is type(message)


@settings(deadline=None)
@given(JSON)
def test_any_json_is_a_message_or_a_bad_message(body: object) -> None:
    for parse in (parse_assignment, parse_control, parse_event):
        with pytest.raises(BadMessage):
            parse(body)


def test_names_on_the_wire_are_camel_case() -> None:
    assert set(over_the_wire(completed())) >= {"kind", "returnCode", "usage", "v"}
    assert "lastOutput" in over_the_wire(failed())


def test_fields_of_a_later_version_of_the_same_protocol_are_passed_over() -> None:
    assert parse_event({**over_the_wire(completed()), "colour": "blue"}) == completed()


def test_limits_that_are_not_said_keep_their_defaults() -> None:
    assert parse_limits({"wall": 5}) == messages.Limits(wall=5.0)


# --- what does not


STEP_FIELDS: dict[str, Any] = {
    "id": "m1",
    "at": "2026-01-01T00:00:00Z",
    "board": "b1",
    "run": "r1",
    "instance": "i1",
    "attempt": 1,
    "seq": 1,
}


def completed(**changes: Any) -> messages.Completed:
    return messages.Completed(**{**STEP_FIELDS, **changes})


def failed() -> messages.Failed:
    return messages.Failed(**STEP_FIELDS, reason=messages.Reason("exit", "it did"))


def assignment() -> messages.Assignment:
    return messages.Assignment(
        **STEP_FIELDS,
        workflow="w1",
        workty=messages.Program("p1", "copy", "1.0", "python", "main.py"),
        package=messages.Package("0" * 64, 10, "http://server/p", "2026-01-01T00:00:00Z"),
        properties=(messages.Property("1", "delay", 2.5),),
        checkpoint=messages.Checkpoint("copying", {}),
        limits=messages.Limits(),
    )


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def changed(body: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """`body` with another value at a dotted path; numbers are positions in lists."""
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inner: Any = body
    for part in above:
        inner = inner[part]
    inner[last] = value
    return body


@pytest.mark.parametrize("version", [None, 0, 2, "1", "two"])
def test_another_version_is_refused(version: object) -> None:
    for message, parse in ((completed(), parse_event), (assignment(), parse_assignment)):
        with pytest.raises(BadMessage, match="v: expected protocol version 1"):
            parse({**over_the_wire(message), "v": version})


@pytest.mark.parametrize("kind", [None, "", "exploded", "assignment", ["state"]])
def test_another_kind_is_refused(kind: object) -> None:
    with pytest.raises(BadMessage, match="kind: expected one of accepted, bye, completed"):
        parse_event({**over_the_wire(completed()), "kind": kind})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", ""),
        ("board", "b" * 257),
        ("run", 1),
        ("attempt", 0),
        ("attempt", True),
        ("attempt", 1.0),
        ("seq", -1),
        ("returnCode", 1),
        ("output", []),
        ("output", {"": float("nan")}),
        ("output", {"x": "y" * MAX_STATE_BYTES}),
        ("output", {"x": nested(MAX_DEPTH)}),
        ("usage", 1),
    ],
)
def test_a_field_of_an_event_that_does_not_fit_is_named(path: str, value: object) -> None:
    with pytest.raises(BadMessage, match=rf"^{path}\.?: expected"):
        parse_event(changed(over_the_wire(completed()), path, value))


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("workflow", None, "workflow"),
        ("workty", "copy", "workty"),
        ("workty.name", "", "name"),
        ("package.sha256", "0" * 63, "sha256"),
        ("package.sha256", "A" * 64, "sha256"),
        ("package.size", -1, "size"),
        ("properties", {}, "properties"),
        ("properties.0", "delay", r"properties\[0\]"),
        ("properties.0.name", None, r"properties\[0\].name"),
        ("properties.0.value", "y" * messages.MAX_PROPERTY_BYTES, r"properties\[0\].value"),
        ("properties.0.value", nested(MAX_DEPTH + 1), r"properties\[0\].value"),
        ("checkpoint.state", "", "state"),
        ("checkpoint.memory", {"x": "y" * MAX_STATE_BYTES}, "checkpoint.memory"),
        ("limits", None, "limits"),
        ("limits.wall", float("inf"), "wall"),
        ("limits.memory", 1.5, "memory"),
    ],
)
def test_a_field_of_an_assignment_that_does_not_fit_is_named(path: str, value: object, named: str) -> None:
    with pytest.raises(BadMessage, match=f"^{named}: expected"):
        parse_assignment(changed(over_the_wire(assignment()), path, value))


@pytest.mark.parametrize("field", ["id", "at", "board", "run", "instance", "attempt", "seq", "reason"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    body = over_the_wire(failed())
    del body[field]
    with pytest.raises(BadMessage, match=f"^{field}: expected"):
        parse_event(body)


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        (messages.Progress(**STEP_FIELDS, progress=0.5), "progress", 1.01),
        (messages.Progress(**STEP_FIELDS, progress=0.5), "progress", float("nan")),
        (messages.Progress(**STEP_FIELDS, progress=0.5), "message", "m" * 201),
        (messages.Log(**STEP_FIELDS, lines=()), "lines", [{}] * 10_001),
        (failed(), "lastOutput", ["line"] * (messages.LAST_OUTPUT_LINES + 1)),
        (messages.Accepted(**STEP_FIELDS), "slot", 1025),
    ],
)
def test_more_than_the_protocol_allows_is_refused(message: messages.Message, field: str, value: object) -> None:
    with pytest.raises(BadMessage, match=f"^{field}: expected"):
        parse_event({**over_the_wire(message), field: value})


def test_a_reason_is_one_that_its_kind_can_have() -> None:
    body = changed(over_the_wire(failed()), "reason.code", "paused")
    with pytest.raises(BadMessage, match=r"^code: expected one of crash, exit"):
        parse_event(body)


def test_what_nests_as_deep_as_allowed_is_taken() -> None:
    output = {"x": nested(MAX_DEPTH - 1)}
    assert parse_event(over_the_wire(completed(output=output))) == completed(output=output)


def test_an_error_shows_only_the_beginning_of_what_came() -> None:
    with pytest.raises(BadMessage) as caught:
        parse_event({**over_the_wire(completed()), "board": "b" * 100_000})
    assert len(caught.value.reason) < 200


def test_a_text_that_utf_8_cannot_write_is_refused_and_its_field_named() -> None:
    body = messages.encode(
        messages.Failed(
            id="1", at="2026", board="b", run="r", instance="i", attempt=1, seq=1,
            reason=messages.Reason("exit", ""), last_output=("fine", "half a pair \ud800"),
        )
    )  # fmt: skip
    with pytest.raises(BadMessage, match=r"lastOutput\[1\]: expected a text without half surrogate pairs"):
        parse_event(body)
