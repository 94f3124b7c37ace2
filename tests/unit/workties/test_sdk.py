"""Workties in Python, each run in a process of its own by `python -m workties.launch`."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workties.copying import TWO_FILES
from workties import StepFailed, Workty
from workties.bounds import MAX_LINE, MAX_STATE_BYTES
from workties.channel import Channel
from workties.messages import Checkpoint
from workties.protocol import LogText, OutputLine, PausedLine, ProgressLine, StateLine

Start = Callable[..., Any]
ROOT = Path(__file__).parents[3]
States = Callable[[list[Any]], list[str]]

COPY = """
from workties import Workty

class Copy(Workty):
    states = ("listing", "copying", "verifying", "finishing")
    transitions = ({"trigger": "empty", "source": "listing", "dest": "finishing"},)
    defaults = {"files": 2}

    def on_resume(self, state):
        assert self.state == state
        self.log(f"again {state} with {self.memory} and {self.output}")

    def on_enter_listing(self):
        self.output["listed"] = self.properties["files"]
        return None if self.properties["files"] else "empty"

    def on_enter_copying(self):
        for number in range(self.memory.get("copied", 0), self.properties["files"]):
            self.memory["copied"] = number + 1
            self.progress((number + 1) / self.properties["files"], f"file {number}")
            self.checkpoint()

    def on_enter_finishing(self):
        self.output["copied"] = self.memory.get("copied", 0)
"""


def test_states_are_entered_in_order_with_what_is_remembered(start: Start) -> None:
    program = start(COPY)
    assert program.lines() == TWO_FILES
    assert program.end() == (0, "", "")


def test_a_handler_chooses_another_way_by_naming_a_trigger(start: Start, states: States) -> None:
    program = start(COPY, files=0)
    assert states(program.lines()) == ["listing", "finishing"]
    assert program.end()[0] == 0


def test_a_checkpoint_is_where_the_next_attempt_goes_on(start: Start) -> None:
    program = start(COPY, files=3, checkpoint=Checkpoint("copying", {"copied": 2, "_output": {"listed": 3}}))
    assert program.lines() == [
        LogText("again copying with {'copied': 2} and {'listed': 3}"),
        StateLine("copying", {"copied": 2, "_output": {"listed": 3}}),
        ProgressLine(1.0, "file 2"),
        StateLine("copying", {"copied": 3, "_output": {"listed": 3}}),
        StateLine("verifying", {"copied": 3, "_output": {"listed": 3}}),
        StateLine("finishing", {"copied": 3, "_output": {"listed": 3}}),
        OutputLine({"listed": 3, "copied": 3}),
    ]


def test_the_first_state_can_be_another_one_than_the_first_in_the_list(start: Start, states: States) -> None:
    code = COPY.replace("    defaults", '    initial = "verifying"\n    defaults')
    assert states(start(code).lines()) == ["verifying", "finishing"]


def test_a_state_can_be_entered_again_and_again_without_deeper_stacks(start: Start, states: States) -> None:
    code = """
    import sys
    from workties import Workty

    class Loop(Workty):
        states = ("turning", "done")
        transitions = ({"trigger": "again", "source": "turning", "dest": "turning"},)

        def on_enter_turning(self):
            self.memory["turns"] = self.memory.get("turns", 0) + 1
            return "again" if self.memory["turns"] < sys.getrecursionlimit() else None
    """
    program = start(textwrap.dedent(code))
    assert states(program.lines()).count("turning") == sys.getrecursionlimit()
    assert program.end() == (0, "", "")


def test_a_pause_ends_the_program_at_its_next_checkpoint(start: Start) -> None:
    code = """
    from workties import Workty

    class Works(Workty):
        states = ("working", "never")

        def on_enter_working(self):
            self.memory["worked"] = True
            while True:
                self.checkpoint()
    """
    program = start(textwrap.dedent(code))
    program.until(lambda line: line == StateLine("working", {"worked": True}))
    program.pause()
    *before, last = program.lines()
    assert last == PausedLine()
    assert StateLine("never", {"worked": True}) not in before
    assert program.end() == (0, "", "")


WAIT = """
from workties import Workty

class Waits(Workty):
    states = ("waiting",)

    def on_enter_waiting(self):
        self.memory["waits"] = True
        self.progress(0.5)
        try:
            self.wait(3600)
        except Exception:
            self.log("a pause is no exception")
"""


def test_a_pause_ends_a_wait_at_once_and_keeps_what_is_remembered(start: Start) -> None:
    program = start(WAIT)
    program.until(lambda line: isinstance(line, ProgressLine))
    program.pause()
    assert program.lines() == [StateLine("waiting", {"waits": True}), PausedLine()]
    assert program.end() == (0, "", "")


def test_the_end_of_the_agent_is_a_pause_too(start: Start) -> None:
    program = start(WAIT)
    program.until(lambda line: isinstance(line, ProgressLine))
    program.leave()
    assert program.lines() == [StateLine("waiting", {"waits": True}), PausedLine()]


def test_a_wait_that_nobody_ends_lasts_as_long_as_it_should(start: Start) -> None:
    code = WAIT.replace("self.wait(3600)", "began = time.monotonic(); self.wait(0.1); spent = time.monotonic() - began")
    program = start("import time\n" + code + '        self.output["spent"] = spent\n')
    found = program.until(lambda line: isinstance(line, OutputLine))
    assert 0.1 <= found.output["spent"] < 10


def test_an_exception_fails_the_program_and_shows_its_traceback(start: Start) -> None:
    program = start(COPY, files="three")
    assert program.lines()[-1] == StateLine("copying", {"_output": {"listed": "three"}})
    code, _, stderr = program.end()
    assert code == 1
    assert "TypeError: 'str' object cannot be interpreted as an integer" in stderr
    assert "in on_enter_copying" in stderr
    assert "sdk.py" not in stderr


@pytest.mark.parametrize(("given", "exit_code"), [("", 1), (", exit_code=75", 75), (", exit_code=0", 1)])
def test_a_step_that_knows_why_it_fails_says_so_in_one_line(start: Start, given: str, exit_code: int) -> None:
    code = f"""
    from workties import StepFailed, Workty

    class Fails(Workty):
        states = ("only",)

        def on_enter_only(self):
            raise StepFailed("There is no sensor on pin 4"{given})
    """
    assert start(textwrap.dedent(code)).end() == (exit_code, "", "There is no sensor on pin 4\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"empty"\n', '"emty"\n'), "Copy: state 'listing' has no trigger 'emty'; it has empty, next. See"),
        (('"empty"\n', "3\n"), "Copy: on_enter_listing returned 3; return the name of a trigger or nothing"),
        (("on_enter_listing", "on_enter_lsting"), "Copy: 'lsting' is not among its states, listing, copying"),
        (('"dest": "finishing"', '"dest": "end"'), "Copy: transitions[0]: 'end' is not among its states"),
        (('states = ("listing", "copying", "verifying", "finishing")', ""), "Copy: declare its states, e.g."),
        (('"verifying", ', '"copying", '), "Copy: state 'copying' is there more than once"),
        (('"dest": "finishing"}', '"dst": "finishing"}'), "Copy: transitions[0]: unknown key 'dst'; a transition has"),
        ((', "dest": "finishing"}', "}"), "Copy: transitions[0]: 'dest' is missing"),
        (
            ('"source": "listing"', '"source": ("listing", "sorting")'),
            "transitions[0]: 'sorting' is not among its states",
        ),
        (('"trigger": "empty"', '"trigger": "next"'), "Copy: transitions[0]: expected a name of its own as trigger"),
        (('"dest": "finishing"},', '"dest": "finishing"}'), "Copy: transitions are a tuple; for a single one write"),
        (
            ('"finishing"},', '"finishing"}, {"trigger": "empty", "source": "*", "dest": "="},'),
            "Copy: transitions[1]: state 'listing' has the trigger 'empty' already",
        ),
        (("class Copy", "class Other(Workty): pass\nclass Copy"), "main.py defines Copy, Other; leave one of them"),
    ],
)
def test_a_mistake_in_a_class_is_explained(start: Start, change: tuple[str, str], message: str) -> None:
    assert change[0] in COPY
    program = start(COPY.replace(*change), files=0)
    code, _, stderr = program.end()
    assert code == 1
    assert message in stderr
    assert "Traceback" not in stderr


def test_a_checkpoint_of_a_state_that_is_no_more_is_explained(start: Start) -> None:
    code, _, stderr = start(COPY, checkpoint=Checkpoint("zipping")).end()
    assert code == 1
    assert "Copy: no state 'zipping' to go on from; its states are listing, copying" in stderr


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{1}", "memory.copied: expected plain JSON"),
        ("['a', {'b': float('nan')}]", "memory.copied[1].b: expected plain JSON"),
        ("'y' * 300000", "memory: expected at most 262144 bytes"),
    ],
)
def test_a_memory_that_cannot_be_kept_fails_where_it_was_set(start: Start, value: str, message: str) -> None:
    program = start(COPY.replace("number + 1\n", f"{value}\n", 1))
    code, _, stderr = program.end()
    assert code == 1
    assert message in stderr
    assert "in on_enter_copying" in stderr


def test_an_output_that_is_no_json_is_named(start: Start) -> None:
    code, _, stderr = start(COPY.replace('self.output["listed"] = ', 'self.output["listed"] = {1}, ')).end()
    assert code == 1
    assert "BadMessage: output.listed[0]: expected plain JSON" in stderr


def test_reading_a_property_that_is_not_declared_says_where_to_declare_it(start: Start) -> None:
    code, _, stderr = start(COPY.replace('self.properties["files"]', 'self.properties["fles"]')).end()
    assert code == 1
    assert "in on_enter_listing" in stderr
    assert "UnknownProperty: no property 'fles'; there are files. Declare it in workty.toml: [[properties]]" in stderr


def test_a_source_can_be_any_state_and_a_destination_the_same(start: Start, states: States) -> None:
    code = COPY.replace("transitions = (", 'transitions = ({"trigger": "redo", "source": "*", "dest": "="}, ')
    code += """
        self.memory["times"] = self.memory.get("times", 0) + 1
        return "redo" if self.memory["times"] < 3 else None
    """
    assert states(start(code, files=0).lines()) == ["listing", "finishing", "finishing", "finishing"]


def test_careless_progress_and_logs_are_brought_within_their_limits(start: Start) -> None:
    code = """
    from workties import Workty

    class Careless(Workty):
        states = ("only",)

        def on_enter_only(self):
            self.progress(7, "m" * 1000)
            self.progress(-1)
            self.log("one\\ntwo\\n" + "y" * 5000)
    """
    assert start(textwrap.dedent(code)).lines()[1:] == [
        ProgressLine(1.0, "m" * 200),
        ProgressLine(0.0),
        LogText("one"),
        LogText("two"),
        LogText("y" * MAX_LINE),
    ]


def test_a_large_memory_arrives_whole(start: Start) -> None:
    size = MAX_STATE_BYTES - 100
    program = start(COPY.replace("number + 1\n", f"'y' * {size}\n", 1), files=1)
    assert StateLine("verifying", {"copied": "y" * size, "_output": {"listed": 1}}) in program.lines()


def test_lines_of_several_threads_do_not_mix(start: Start) -> None:
    code = """
    import threading
    from workties import Workty

    class Threads(Workty):
        states = ("only",)

        def on_enter_only(self):
            self.memory["large"] = "y" * 200_000
            threads = [threading.Thread(target=self.checkpoint) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    """
    lines = start(textwrap.dedent(code)).lines()
    assert lines[1:] == [StateLine("only", {"large": "y" * 200_000})] * 20


def test_the_example_in_the_documentation_runs(start: Start) -> None:
    documentation = inspect.getdoc(Workty) or ""
    example = documentation[documentation.index("    from workties") : documentation.index("Entering a state makes")]
    program = start(textwrap.dedent(example))
    lines = program.lines()
    assert lines[-2:] == [LogText("Lift-off!"), OutputLine({"counted": 3})]
    assert program.end() == (0, "", "")


STORES = """
from workties import Workty

class Stores(Workty):
    states = ("asking",)

    def on_enter_asking(self):
        self.await_stored(SECONDS)
        self.log("stored")
"""


def test_a_program_can_wait_until_its_checkpoint_is_stored(start: Start) -> None:
    program = start(STORES.replace("SECONDS", "60"))
    assert program.lines() == [StateLine("asking", {}), OutputLine({}), LogText("stored")]
    assert program.end() == (0, "", "")


@pytest.mark.parametrize("reads", [0, 1], ids=["nothing read", "one read, which may not be stored yet"])
def test_a_checkpoint_counts_as_stored_only_when_a_second_line_is_read(reads: int) -> None:
    ours, theirs = os.pipe()
    channel = Channel(theirs, None)
    reader = threading.Thread(target=lambda: [os.read(ours, 4096) for _ in range(reads)])
    try:
        workty = Workty({}, channel)
        workty.checkpoint()
        reader.start()
        with pytest.raises(StepFailed, match="The board did not store the step's checkpoint within"):
            workty.await_stored(0.2)
    finally:
        reader.join()
        os.close(ours)
        os.close(theirs)


def test_started_by_hand_nobody_stores_a_checkpoint_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("wb") as file:
        workty = Workty({}, Channel(file.fileno(), None))
        workty.checkpoint()
        workty.await_stored(0)


# --- the launcher


def test_what_a_program_prints_is_seen_at_once(start: Start) -> None:
    program = start(WAIT.replace("        try:", '        print("waiting")\n        try:'))
    assert program.process.stdout.readline() == b"waiting\n"


def test_a_program_finds_the_modules_beside_it(start: Start, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.py").write_text("ANSWER = 42")
    (tmp_path / "lib" / "main.py").write_text("import helper, sys\nprint(helper.ANSWER, __name__, sys.argv)")
    code, stdout, _ = start(tmp_path / "lib" / "main.py").end()
    assert (code, stdout) == (0, f"42 __main__ ['{tmp_path}/lib/main.py']\n")


def test_a_workty_may_use_dataclasses_and_annotations(start: Start) -> None:
    code = """
    from __future__ import annotations
    from dataclasses import dataclass
    from typing import get_type_hints
    from workties import Workty

    @dataclass(slots=True)
    class File:
        name: str

    @dataclass(slots=True)
    class Pair:
        source: File
        dest: File

    class Typed(Workty):
        states = ("only",)

        def on_enter_only(self) -> None:
            self.output["hints"] = [hint.__name__ for hint in get_type_hints(Pair).values()]
    """
    assert start(textwrap.dedent(code)).lines()[-1] == OutputLine({"hints": ["File", "File"]})


@pytest.mark.parametrize(("code", "exit_code"), [("print(1)", 0), ("import sys; sys.exit(3)", 3), ("1 / 0", 1)])
def test_a_plain_script_is_judged_by_its_exit_code(start: Start, code: str, exit_code: int) -> None:
    program = start(code)
    assert program.lines() == []
    assert program.end()[0] == exit_code


def test_programs_that_a_workty_leaves_behind_do_not_keep_its_pipes_open(start: Start) -> None:
    code = """
    import os
    from workties import Workty

    class LeavesOneBehind(Workty):
        states = ("only",)

        def on_enter_only(self):
            self.output["child"] = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "3600")
    """
    *_, output = start(textwrap.dedent(code)).lines()
    os.kill(output.output["child"], signal.SIGKILL)


def test_messages_are_imported_without_the_state_machine() -> None:
    code = "import sys, workties.messages, workties.protocol, workties.package; print('transitions' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_step_starts_without_importing_what_few_need() -> None:
    code = "import sys, workties.launch; from workties import Workty; print(*sys.modules)"
    # Without site, which imports what it likes.
    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    costly = {"dataclasses", "inspect", "logging", "pathlib", "transitions", "typing", "workties.messages"}
    assert costly & set(found.stdout.split()) == set()


def test_a_file_of_a_package_may_be_named_like_a_module_that_the_launcher_needs(start: Start, tmp_path: Path) -> None:
    (tmp_path / "select.py").write_text("raise RuntimeError('not this one')")
    assert start(COPY, files=0).end()[0] == 0
