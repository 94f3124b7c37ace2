"""`workty workty`: what those who write workties see, from a new folder to a package."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from api.cli.main import main
from api.cli.step_run import parse_property

COUNTING = """
import sys, time
from workties import Workty

class Counting(Workty):
    states = ("counting", "telling")

    def on_enter_counting(self):
        for number in range(self.memory.get("counted", 0), self.properties["most"]):
            self.memory["counted"] = number + 1
            self.progress((number + 1) / self.properties["most"], f"number {number + 1}")
            self.checkpoint()
        if self.properties["then"] == "fail":
            sys.exit("no more fingers")
        if self.properties["then"] == "wait":
            print("waiting", flush=True)
            self.wait(3600)

    def on_enter_telling(self):
        print("on", self.board, "\\x1b[2J")
        self.output["counted"] = self.memory["counted"]
"""
MANIFEST = """
name = "counting"
version = "1.0"
language = "python"
entry = "main.py"
states = ["counting", "telling"]
[[properties]]
name = "most"
type = "integer"
default = 2
[[properties]]
name = "then"
type = "text"
default = ""
"""

Run = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a workty `counting` in it, which is the current one."""
    (tmp_path / "counting").mkdir()
    (tmp_path / "counting" / "workty.toml").write_text(MANIFEST)
    (tmp_path / "counting" / "main.py").write_text(COUNTING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def workty(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["workty", *arguments])


def test_a_step_is_shown_in_lines_with_its_output_at_the_end(here: Path) -> None:
    done = workty("run", "counting")
    *lines, end, output = done.stdout.splitlines()
    assert lines == [
        "counting: counting",
        "counting: 50% number 1",
        "counting: 100% number 2",
        "counting: telling",
        r"counting | on here \x1b[2J",
    ]
    assert end.startswith("counting: completed after ")
    assert output == 'Output: {"counted": 2}'
    assert done.exit_code == 0


def test_programs_get_an_object_a_line(here: Path) -> None:
    done = workty("run", "counting", "--json", "-p", "most=1")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["state", "progress", "state", "state", "log", "end"]
    assert events[-1]["state"] == "completed"
    assert events[-1]["output"] == {"counted": 1}
    assert events[-1]["checkpoint"] == {"state": "telling", "memory": {"counted": 1}}


def test_a_step_that_fails_says_why_and_can_go_on_from_its_checkpoint(here: Path) -> None:
    failed = workty("run", "counting", "-p", "then=fail")
    assert failed.exit_code == 1
    assert "counting | no more fingers\ncounting: failed: the program ended with exit code 1" in failed.stdout
    hint = "workty workty run counting --from-checkpoint .counting.checkpoint.json --property then=fail"
    assert failed.stderr == f"It can go on in state 'counting': {hint}\n"
    rest = workty("run", "counting", "--from-checkpoint", ".counting.checkpoint.json", "--json")
    assert '"progress"' not in rest.stdout
    assert rest.exit_code == 0


def test_a_pause_after_a_state_leaves_a_checkpoint(here: Path) -> None:
    paused = workty("run", "counting", "-p", "then=wait", "--pause-after", "counting")
    assert paused.exit_code == 0
    assert "counting: paused after" in paused.stdout
    assert "It can go on in state 'counting'" in paused.stderr


@pytest.fixture
def waiting(here: Path) -> Iterator[subprocess.Popen[str]]:
    """A step that runs until it is stopped."""
    code = f"import signal, sys; signal.signal(2, signal.default_int_handler); sys.path.insert(0, {os.fspath(ROOT)!r})"
    code += "; from api.cli.main import main; main()"
    command = [sys.executable, "-c", code, "workty", "run", "counting", "-p", "then=wait"]
    with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


ROOT = Path(__file__).parents[3]


def test_ctrl_c_stops_the_step_and_says_how_to_go_on(waiting: subprocess.Popen[str]) -> None:
    assert waiting.stdout
    assert any("waiting" in line for line in waiting.stdout)
    waiting.send_signal(signal.SIGINT)
    stdout, stderr = waiting.communicate(timeout=60)
    assert "counting: stopped after" in stdout
    assert stderr.startswith("Stopping it; once more kills it at once\nIt can go on in state 'counting': workty")
    assert waiting.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["run", "counting", "-p", "mots=1"], 2, "Property 'mots': unknown; declared are most, then"),
        (["run", "counting", "-p", "most=many"], 2, "Property 'most': expected a whole number, got \"many\""),
        (["run", "counting", "-p", "most"], 2, "--property: expected NAME=VALUE, got 'most'"),
        (["run", "counting", "--pause-after", "x"], 2, "there is no state 'x'; there are counting, telling"),
        (["run", "counting", "--from-checkpoint", "counting/main.py"], 2, "counting/main.py holds no checkpoint"),
        (["run", "counting/main.py"], 2, "name the folder in which its workty.toml lies"),
        (["run", "no.zip"], 1, "no.zip: the package is no zip that can be read"),
        (["run", "empty"], 1, "empty: 1 mistake. Nothing was done."),
        (["check", "nowhere"], 2, "Path 'nowhere' does not exist"),
        (["graph", "empty"], 1, "empty: its states are not known"),
        (["graph", "counting", "-o", "no/x.svg"], 1, "no/x.svg cannot be written: No such file or directory"),
        (["pack", "counting", "-o", "counting/x.zip"], 2, "counting/x.zip lies within counting"),
        (["pack", "no.zip"], 2, "no.zip is no folder"),
        (["new", "counting"], 1, "counting is there already; choose another name"),
        (["new", "1st"], 2, "'1st' cannot be a name: a letter first"),
        (["new", "x", "--language", "cobol"], 2, "'cobol' is not one of"),
    ],
)
def test_what_cannot_be_done_is_said(here: Path, arguments: list[str], exit_code: int, message: str) -> None:
    (here / "no.zip").write_bytes(b"no")
    (here / "empty").mkdir()
    done = workty(*arguments)
    assert message in done.stderr.replace("\n", " ")
    assert done.exit_code == exit_code


@pytest.mark.parametrize("language", ["nodejs", "java", "executable"])
def test_a_new_workty_runs_and_goes_on_from_a_checkpoint(here: Path, language: str) -> None:
    first, *others = workty("new", "tea", "--language", language).stdout.splitlines()[1:]
    assert first == ("  sh tea/build.sh" if language == "java" else "  workty workty check tea")
    assert others == [f"  workty workty {verb} tea" for verb in ("run", "push")]
    subprocess.run(first.split() if language == "java" else ["true"], check=True)
    (here / "checkpoint.json").write_text('{"state": "working", "memory": {"done": 4}}')
    done = workty("run", "tea", "-p", "parts=5", "--from-checkpoint", "checkpoint.json")
    assert "tea: 80%" in done.stdout
    assert done.stdout.endswith('Output: {"done": 5}\n')


def test_a_check_prints_every_finding_and_its_exit_code_says_whether_any_is_a_mistake(here: Path) -> None:
    good = workty("check", "counting")
    assert good.stdout.startswith("counting: nothing is wrong (2 files, ")
    (here / "counting" / "main.py").write_text(COUNTING.replace("on_enter_telling", "on_enter_tell"))
    bad = workty("check", "counting")
    assert bad.exit_code == 1
    text = "on_enter_tell: Counting has no state 'tell'; it has counting, telling"
    assert bad.stdout.startswith(f"counting/main.py:19: {text}\ncounting: 1 mistake (")
    found = json.loads(workty("check", "counting", "--json").stdout)
    assert found == {
        "good": False,
        "findings": [{"file": "main.py", "line": 19, "text": text, "warning": False}],
    }


def test_the_same_folder_packs_to_the_same_bytes_beside_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = workty("pack", "counting")
    data = (here / "counting.zip").read_bytes()
    assert first.stdout.startswith(f"counting.zip\n{len(data)} bytes\nsha256 ")
    monkeypatch.chdir(here / "counting")
    second = json.loads(workty("pack", "--json").stdout)
    assert second["path"] == str(here / "counting.zip")
    assert second["sha256"] in first.stdout
    assert sorted(path.name for path in (here / "counting").iterdir()) == ["main.py", "workty.toml"]


def test_a_zip_runs_as_its_folder_does(here: Path) -> None:
    workty("pack", "counting")
    assert workty("run", "counting.zip", "-p", "most=1").stdout.endswith('Output: {"counted": 1}\n')


def test_a_graph_is_text_or_a_picture_as_its_file_is_named(here: Path) -> None:
    assert workty("graph", "counting").stdout.startswith("stateDiagram-v2\n    [*] --> counting\n")
    assert workty("graph", "counting", "-o", "states.svg").stdout == "Wrote states.svg\n"
    assert (here / "states.svg").read_text().startswith("<svg ")
    assert workty("graph", "counting", "--format", "svg").stdout == (here / "states.svg").read_text()


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("x=1", "any", 1),
        ("x=[1, null]", "any", [1, None]),
        ("x=soon", "any", "soon"),
        ("x=a=b", "any", "a=b"),
        ("x=", "any", ""),
        ("x=1.10", "text", "1.10"),
        ("x=true", "text", "true"),
    ],
)
def test_a_value_is_json_if_it_is_json_and_texts_stay_as_they_are(text: str, kind: str, value: object) -> None:
    assert parse_property(text, {"x": kind}) == ("x", value)


@pytest.mark.parametrize(
    ("arguments", "incomplete", "offered"),
    [
        (["run", "counting", "--property"], "m", ["most="]),
        (["run", "counting", "--pause-after"], "", ["counting", "telling"]),
        (["run", "nowhere", "--pause-after"], "", []),
        (["new", "x", "--language"], "j", ["java"]),
    ],
)
def test_shells_are_offered_what_the_workty_declares(
    here: Path, arguments: list[str], incomplete: str, offered: list[str]
) -> None:
    found = ShellComplete(main, {}, "workty", "_WORKTY_COMPLETE").get_completions(["workty", *arguments], incomplete)
    assert [item.value for item in found] == offered
