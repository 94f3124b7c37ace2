"""How the events of a run are shown on a terminal, in a pipe, and to programs."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from api.cli.watching import Bars, JsonLines, PlainLines, Show, watch
from api.client import Connection, Event, LogLine, LogLines, Progress, Reason, Step, StepChanged

EVIL = "[b]bake[/b]\x1b[2J"
FAILED = Reason("exit", "ended with \x1b7", 1, ("oh\tno\x1b[2J",))


def changed(state: str, run_state: str = "running", reason: Reason | None = None, attempt: int = 1) -> StepChanged:
    return StepChanged("w", "r", 1, run_state, Step("s", EVIL, state, attempt, None, "kitchen\x07", reason))


EVENTS: list[Event] = [
    changed("initial", "waiting"),
    changed("waiting", "waiting", Reason("no-slot", "all are busy"), attempt=2),
    changed("running"),
    Progress("r", 1, "s", 1, 0.5, "half"),
    Progress("r", 1, "s", 1, 0.5, "", "baking\x07", True),
    Progress("r", 1, "s", 1, 0.5, "", "baking\x07", True),
    LogLines("r", 1, "s", EVIL, 1, (LogLine("", "stdout", "crumbs\r\x1b]0;x\x07\n"),), dropped=3),
    Connection(live=False),
    Connection(live=True),
    changed("failed", "failed", FAILED),
]


def shown_on_terminal(width: int, events: list[Event] = EVENTS, *, logs: bool = False) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, legacy_windows=False)
    watch(events, Bars(console, [Step("s", EVIL, "initial"), Step("t", "cool", "initial")], logs=logs))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_lines_tell_every_change_and_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    assert watch(EVENTS, PlainLines()) == "failed"
    printed = capsys.readouterr()
    name = r"[b]bake[/b]\x1b[2J"
    assert printed.out.splitlines() == [
        f"{name}: waiting (attempt 2): all are busy",
        rf"{name}: running on kitchen\x07",
        rf"{name}: in state 'baking\x07'",
        rf"{name}: failed: ended with \x1b7",
        f"{name} | oh\tno\\x1b[2J",
    ]
    assert printed.err.splitlines() == ["The connection is lost; trying again. The run goes on", "Live again"]


@pytest.mark.parametrize("asked", ["pausing", "stopping"])
def test_a_run_that_was_asked_to_end_is_not_said_to_begin_again(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    watch([changed("running"), changed("running", asked)], PlainLines())
    assert capsys.readouterr().out.splitlines()[1].endswith(rf": {asked} on kitchen\x07")


def test_a_step_without_a_name_is_known_by_the_end_of_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    watch([StepChanged("w", "r", 1, "completed", Step("6b061df35b8c", "", "completed"))], PlainLines())
    assert capsys.readouterr().out == "step f35b8c: completed\n"


def test_with_logs_lines_tell_what_steps_write_and_how_much_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    watch(EVENTS, PlainLines(logs=True))
    printed = capsys.readouterr().out.splitlines()
    assert r"[b]bake[/b]\x1b[2J | ... 3 lines are missing" in printed
    assert r"[b]bake[/b]\x1b[2J | crumbs\r\x1b]0;x\x07" in printed
    assert not any(line.endswith("oh\tno\\x1b[2J") for line in printed)


def test_programs_get_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    watch(EVENTS, JsonLines())
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in printed]
    assert kinds == ["step", "step", "step", *["progress"] * 3, "log", "connection", "connection", "step"]
    assert [event["workty_state"] for event in printed[3:6]] == [None, "baking\x07", "baking\x07"]
    assert printed[0]["step"]["name"] == EVIL
    assert printed[-1]["step"]["reason"]["return_code"] == 1


@pytest.mark.parametrize("width", [40, 80, 120])
def test_bars_show_each_step_within_the_width_and_obey_no_name(width: int) -> None:
    printed = shown_on_terminal(width)
    last = printed[printed.rindex("cool") - 3 * width :]
    assert "failed" in last
    assert "initial" in last
    assert r"ended with \x1b7" in printed.replace("\n", "")
    for escape in ("\x1b[2J", "\x1b7", "\x1b]0;", "\x07"):
        assert escape not in printed


def test_bars_show_the_state_of_the_program_where_there_is_room() -> None:
    assert r"baking\x07" in shown_on_terminal(120)
    assert "baking" not in shown_on_terminal(80)


@pytest.mark.parametrize(("code", "told"), [("retry", True), ("no-board", True), ("no-slot", False), ("sent", False)])
def test_bars_print_what_a_step_may_wait_for_long(code: str, told: bool) -> None:
    waits = changed("waiting", "waiting", Reason(code, "because of \x1b7"))
    assert (r"waiting: because of \x1b7" in shown_on_terminal(120, [waits])) == told


def test_bars_print_what_steps_write_above_them() -> None:
    assert r"crumbs\r\x1b]0;x\x07" in shown_on_terminal(120, logs=True)
    assert "crumbs" not in shown_on_terminal(120)


def test_a_run_of_which_nothing_was_told_has_no_state() -> None:
    show: Show = PlainLines()
    assert watch([], show) == ""
