"""The helper libraries for NodeJS and Java: the same workty with each, run by the real node and java."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workties.copying import TWO_FILES
from workties.helpers import helper_file
from workties.messages import Checkpoint
from workties.protocol import LogText, OutputLine, PausedLine, ProgressLine, StateLine

Start = Callable[..., Any]
States = Callable[[list[Any]], list[str]]

NODEJS = """
const { run } = require("./workty.js");
run({
  states: {
    listing(step) {
      step.output.listed = step.properties.files;
      return step.properties.files === 0 ? "empty" : undefined;
    },
    async copying(step) {
      for (let number = step.memory.copied ?? 0; number < step.properties.files; number++) {
        step.memory.copied = number + 1;
        step.progress((number + 1) / step.properties.files, `file ${number}`);
        await step.wait(step.properties.rest);
        step.checkpoint();
      }
    },
    verifying: null,
    finishing(step) {
      step.output.copied = step.memory.copied ?? 0;
    },
  },
  transitions: [{ trigger: "empty", source: ["listing"], dest: "finishing" }],
  onResume(step) {
    step.log(`again ${step.state} on ${step.board}\\nattempt ${step.attempt}`);
  },
});
"""

JAVA = """
public class Main extends Workty {
    public static void main(String[] arguments) {
        run(new Main());
    }

    Main() {
        state("listing", this::list);
        state("copying", this::copy);
        state("verifying", () -> {});
        state("finishing", this::finish);
        transition("empty", "listing", "finishing");
    }

    protected void onResume(String state) {
        log("again " + state + " on " + board() + "\\nattempt " + attempt());
    }

    String list() {
        output.put("listed", properties.get("files"));
        return properties.get("files").equals(0L) ? "empty" : null;
    }

    void copy() {
        long files = (Long) properties.get("files");
        for (long number = whole(memory, "copied", 0); number < files; number++) {
            memory.put("copied", number + 1);
            progress((number + 1) / (double) files, "file " + number);
            waitSeconds(number(properties, "rest", 0));
            checkpoint();
        }
    }

    void finish() {
        output.put("copied", whole(memory, "copied", 0));
    }
}
"""

#: Sends back what it got, and what may go wrong on the way: signs that JSON escapes, numbers, nothing.
ECHO = {
    "nodejs": """
const { run } = require("./workty.js");
run({ states: { echoing(step) { step.output.back = step.properties; } } });
""",
    "java": """
public class Main extends Workty {
    public static void main(String[] arguments) {
        run(new Main());
    }

    Main() {
        state("echoing", () -> { output.put("back", properties); });
    }
}
""",
}


@pytest.fixture(params=["nodejs", "java"])
def program(request: pytest.FixtureRequest) -> Path:
    """The entry point of the same workty in one of the languages."""
    code = {"nodejs": NODEJS, "java": JAVA}[request.param]
    entry: Path = request.getfixturevalue(request.param)(code)
    return entry


def test_states_are_entered_in_order_with_what_is_remembered(program: Path, start: Start) -> None:
    running = start(program, files=2, rest=0)
    assert running.lines() == TWO_FILES
    assert running.end() == (0, "", "")


def test_a_pause_ends_a_wait_and_the_next_attempt_goes_on_from_there(program: Path, start: Start) -> None:
    running = start(program, files=2, rest=3600)
    running.until(lambda line: isinstance(line, ProgressLine))
    running.pause()
    remembered = {"copied": 1, "_output": {"listed": 2}}
    assert running.lines() == [StateLine("copying", remembered), PausedLine()]
    assert running.end() == (0, "", "")
    resumed = start(program, files=2, rest=0, checkpoint=Checkpoint("copying", remembered))
    assert resumed.lines()[:4] == [
        LogText("again copying on board-01"),
        LogText("attempt 1"),
        StateLine("copying", remembered),
        ProgressLine(1.0, "file 1"),
    ]


def test_a_handler_chooses_another_way_by_naming_a_trigger(nodejs: Callable[[str], Path], start: Start) -> None:
    lines = start(nodejs(NODEJS), files=0, rest=0).lines()
    assert [line.state for line in lines if isinstance(line, StateLine)] == ["listing", "finishing"]


def test_states_can_be_entered_again_from_any_of_them_and_another_one_can_be_the_first(
    nodejs: Callable[[str], Path], start: Start, states: States
) -> None:
    code = """
    const { run } = require("./workty.js");
    const turn = (step) => {
      step.memory.turns = (step.memory.turns ?? 0) + 1;
      return step.memory.turns < 3 ? "again" : "next";
    };
    run({
      states: { resting: null, turning: turn, done: null },
      transitions: [{ trigger: "again", source: "*", dest: "=" }],
      initial: "turning",
    });
    """
    assert states(start(nodejs(code)).lines()) == ["turning", "turning", "turning", "done"]


def test_the_end_of_the_agent_is_a_pause_too(nodejs: Callable[[str], Path], start: Start) -> None:
    running = start(nodejs(NODEJS), files=2, rest=3600)
    running.until(lambda line: isinstance(line, ProgressLine))
    running.leave()
    assert running.lines()[-1] == PausedLine()


def test_a_pause_is_heard_by_a_handler_that_never_waits(nodejs: Callable[[str], Path], start: Start) -> None:
    code = """
    const { run } = require("./workty.js");
    run({ states: { working(step) { for (;;) try { step.checkpoint(); } catch { step.log("not an error"); } } } });
    """
    running = start(nodejs(code))
    running.until(lambda line: isinstance(line, StateLine))
    running.pause()
    assert {type(line) for line in running.lines()} <= {StateLine, PausedLine}
    assert running.end() == (0, "", "")


@pytest.mark.parametrize("language", ["nodejs", "java"])
def test_values_come_back_as_they_were_given(language: str, request: pytest.FixtureRequest, start: Start) -> None:
    given: dict[str, Any] = {
        "text": 'a "b" \\ /\n\t\x00\x7f \N{SNOWMAN} \N{GRINNING FACE}',
        "numbers": [0, -1, 2**53, 0.1, 1e300, -2.5e-7],
        "rest": [True, False, None, {}, [], {"x": {"y": [[]]}}],
    }
    running = start(request.getfixturevalue(language)(ECHO[language]), **given)
    assert OutputLine({"back": given}) in running.lines()
    assert running.end() == (0, "", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"empty" :', '"emty" :'), "state 'listing' has no trigger 'emty'; it has empty, next. See"),
        (('"finishing" }', '"end" }'), "'end' is not among the states, listing, copying, verifying, finishing"),
        (("verifying: null", "verifying: 3"), "state 'verifying': expected a function of the step, or null"),
        (("step.wait(step.properties.rest)", "new Promise(() => {})"), "state 'copying' has not ended, but nothing"),
        (("states: {", "states: {}, other: {"), "declare the states, e.g."),
    ],
)
def test_a_mistake_is_explained(
    nodejs: Callable[[str], Path], start: Start, change: tuple[str, str], message: str
) -> None:
    assert change[0] in NODEJS
    files = 1 if "wait" in change[0] else 0
    code, _, stderr = start(nodejs(NODEJS.replace(*change)), files=files, rest=0).end()
    assert code == 1
    assert stderr.startswith(message)


def test_an_error_in_a_handler_fails_the_program_and_shows_where_it_was(
    nodejs: Callable[[str], Path], start: Start
) -> None:
    code, _, stderr = start(nodejs(NODEJS.replace("step.output.listed =", "step.nothing.listed =")), files=1).end()
    assert code == 1
    assert "TypeError" in stderr
    assert "main.js" in stderr


def test_what_is_too_large_to_remember_names_its_field(nodejs: Callable[[str], Path], start: Start) -> None:
    changed = NODEJS.replace("step.output.listed =", 'step.memory.listed = "x".repeat(300_000);')
    code, _, stderr = start(nodejs(changed), files=1).end()
    assert code == 1
    assert "memory: expected at most 262144 bytes of JSON, got 3000" in stderr


def test_languages_that_need_no_helper_have_none() -> None:
    assert helper_file("python") is None
    assert helper_file("executable") is None
