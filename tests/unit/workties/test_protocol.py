"""The step protocol: lines of a program, control lines, and the input file."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workties import channel, protocol
from workties.bounds import INPUT, MAX_LINE, MAX_LINE_BYTES, MAX_STATE_BYTES
from workties.errors import BadMessage
from workties.messages import Assignment, Checkpoint, Limits, Program, Property
from workties.protocol import CheckpointLine, LogText, OutputLine, PausedLine, ProgressLine, StateLine, parse_line

WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
VALUES = st.dictionaries(WORDS, st.none() | st.booleans() | st.integers() | WORDS | st.lists(WORDS), max_size=4)
LINES = st.one_of(
    st.tuples(st.just("state"), st.builds(StateLine, NAMES, VALUES)),
    st.tuples(st.just("checkpoint"), st.builds(CheckpointLine, VALUES)),
    st.tuples(st.just("progress"), st.builds(ProgressLine, st.floats(0, 1), WORDS)),
    st.tuples(st.just("log"), st.builds(LogText, WORDS)),
    st.tuples(st.just("output"), st.builds(OutputLine, VALUES)),
    st.just(("paused", PausedLine())),
)


@settings(deadline=None)
@given(LINES)
def test_what_a_program_writes_is_what_the_agent_reads(sent: tuple[str, protocol.Line]) -> None:
    kind, line = sent
    written = channel.encode_line(kind, **asdict(line))
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert parse_line(written) == line


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_or_a_bad_message(content: bytes) -> None:
    with contextlib.suppress(BadMessage):
        parse_line(content)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b"", "a JSON object"),
        (b"[]", "a JSON object, got list"),
        (b"\xff", "in UTF-8"),
        (b"[" * 100_000, "a JSON object"),
        (b"{}", "type: "),
        (b'{"type": ["state"]}', "type: "),
        (b'{"type": "state"}', "state: "),
        (b'{"type": "state", "state": ""}', "state: "),
        (b'{"type": "state", "state": "a", "memory": [1]}', "memory: "),
        (b'{"type": "state", "state": "a", "memory": {"x": NaN}}', "memory.x: "),
        (b'{"type": "state", "state": "a", "memory": {"x":' + b"[" * 40 + b"]" * 40 + b"}}", "memory: "),
        (b'{"type": "checkpoint", "memory": [1]}', "memory: "),
        (b'{"type": "progress", "progress": true}', "progress: "),
        (b'{"type": "progress", "progress": NaN}', "progress: "),
        (b'{"type": "progress"}', "progress: "),
        (b'{"type": "log", "text": 1}', "text: "),
        (b'{"type": "output"}', "output: "),
        (json.dumps({"type": "output", "output": {"x": "y" * MAX_STATE_BYTES}}).encode(), "output: "),
        (b'{"type": "log", "text": "' + b"y" * MAX_LINE_BYTES + b'"}', "a line of at most"),
    ],
)
def test_a_bad_line_is_refused_and_the_field_is_named(line: bytes, named: str) -> None:
    with pytest.raises(BadMessage, match=named):
        parse_line(line)


@pytest.mark.parametrize(("sent", "kept"), [("-3", 0.0), ("1.0001", 1.0), ("1", 1.0), ("0.25", 0.25)])
def test_a_progress_outside_0_to_1_is_moved_inside(sent: str, kept: float) -> None:
    assert parse_line(b'{"type":"progress","progress":%s}' % sent.encode()) == ProgressLine(kept)


def test_long_texts_are_cut() -> None:
    assert parse_line(b'{"type":"log","text":"%s"}' % (b"y" * 9999)) == LogText("y" * MAX_LINE)
    found = parse_line(b'{"type":"progress","progress":0,"message":"%s"}' % (b"y" * 9999))
    assert found == ProgressLine(0.0, "y" * 200)


def test_half_characters_are_replaced_wherever_they_are() -> None:
    assert parse_line(rb'{"type":"log","text":"a\uD800b\ud83d\ude00"}') == LogText("a?b\U0001f600")
    found = parse_line(rb'{"type":"state","state":"\udfff","memory":{"\ud800":["\udc00"]}}')
    assert found == StateLine("?", {"?": ["?"]})


def test_a_state_without_memory_has_an_empty_one() -> None:
    assert parse_line(b'{"type":"state","state":"copying"}') == StateLine("copying", {})
    assert parse_line(b'{"type":"state","state":"copying","memory":null}') == StateLine("copying", {})
    assert parse_line(b'{"type":"checkpoint"}') == CheckpointLine({})


def test_what_cannot_be_written_as_json_names_its_field() -> None:
    with pytest.raises(BadMessage, match=r"memory\.x: expected plain JSON"):
        channel.encode_line("state", memory={"x": {1, 2}})
    with pytest.raises(BadMessage, match="output: expected at most"):
        channel.encode_line("output", output={"x": "y" * MAX_STATE_BYTES})
    with pytest.raises(BadMessage, match="progress: expected plain JSON"):
        channel.encode_line("progress", progress=float("nan"))


def test_only_a_pause_asks_to_pause() -> None:
    assert channel.asks_pause(protocol.PAUSE_LINE)
    for line in (b'{"type":"louder"}\n', b"pause\n", b"", b"[1]", b"\xff", b"[" * 100_000):
        assert not channel.asks_pause(line)


def assignment(checkpoint: Checkpoint | None) -> Assignment:
    return Assignment(
        id="m1",
        at="2026-01-01T00:00:00Z",
        board="b1",
        run="r1",
        instance="i1",
        attempt=3,
        seq=1,
        workflow="w1",
        workty=Program("p1", "copy", "1.0", "python", "main.py"),
        package=None,
        properties=(Property("1", "delay", 2.5), Property("2", "to", {"host": "nas"})),
        checkpoint=checkpoint,
        limits=Limits(),
    )


@pytest.mark.parametrize("checkpoint", [None, Checkpoint("copying", {"done": [1, 2]})])
def test_a_program_reads_what_the_assignment_says(checkpoint: Checkpoint | None, tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_bytes(protocol.step_input(assignment(checkpoint)))
    assert channel.read_input({INPUT: str(path)}) == {
        "properties": {"delay": 2.5, "to": {"host": "nas"}},
        "checkpoint": asdict(checkpoint) if checkpoint else None,
        "attempt": 3,
        "entry": "main.py",
        "workty": "copy",
        "board": "b1",
    }
