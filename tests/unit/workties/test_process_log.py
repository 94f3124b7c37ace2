"""What a process writes to its log, and for whom."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from workties.process_log import about, writer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logger(stream: io.StringIO, form: str = "auto", **always: object) -> logging.Logger:
    found = logging.Logger("workty.x", "INFO")
    found.addHandler(writer(stream, form, **always))
    return found


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_for_programs_are_objects_with_what_they_are_about() -> None:
    stream = io.StringIO()
    log = logger(stream, board="b1")
    with about(run="r1", step="s1", attempt=2):
        log.info("it %s", 'said "ü"')
    log.warning("later")
    first, second = lines(stream)
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "workty.x",
        "message": 'it said "ü"',
        "board": "b1",
        "run": "r1",
        "step": "s1",
        "attempt": 2,
    }
    assert "run" not in second


def test_what_is_inside_is_about_both_and_an_unknown_id_is_left_out() -> None:
    stream = io.StringIO()
    log = logger(stream)
    with about(run="r1", board="b1"), about(board="b2", trace=None):
        log.info("one")
    (line,) = lines(stream)
    assert (line["run"], line["board"], "trace" in line) == ("r1", "b2", False)


def test_a_message_or_exception_of_many_lines_is_one_line_for_programs() -> None:
    stream = io.StringIO()
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        logger(stream).exception("two\nlines")
    (line,) = lines(stream)
    assert line["message"] == "two\nlines"
    assert line["exception"].endswith("ValueError: bad\nthing")


@pytest.mark.parametrize(("form", "stream"), [("auto", Terminal()), ("text", io.StringIO())])
def test_people_read_text_with_the_ids_behind_it(form: str, stream: io.StringIO) -> None:
    log = logger(stream, form)
    with about(run="r1", attempt=1):
        log.info("begins")
    log.debug("nobody asked")
    assert stream.getvalue().endswith("INFO workty.x: begins [run=r1 attempt=1]\n")


def test_json_may_be_asked_for_on_a_terminal() -> None:
    stream = Terminal()
    logger(stream, "json").info("one")
    assert lines(stream)[0]["message"] == "one"
