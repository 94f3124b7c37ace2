"""What is said of a workty's folder before anybody runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workties import builtin
from workties.authoring.checking import check

MANIFEST = """name = "copying"
version = "1.0"
language = "python"
entry = "main.py"
states = ["listing", "copying", "finishing"]

[[properties]]
name = "files"
type = "integer"
"""
CODE = """from workties import Workty

FIRST = "listing"

class Copying(Workty):
    states = (FIRST, "copying", "finishing")
    transitions = (
        {"trigger": "empty", "source": "listing", "dest": "finishing"},
        {"trigger": "again", "source": ["copying"], "dest": "="},
    )

    def on_enter_listing(self):
        return None if self.properties["files"] else "empty"

    def on_enter_copying(self):
        if self.memory:
            return "again"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "workty.toml").write_text(MANIFEST)
    (tmp_path / "main.py").write_text(CODE)
    return tmp_path


def found_in(folder: Path) -> list[str]:
    return [str(finding) for finding in check(folder).findings]


def changed(folder: Path, file: str, old: str, new: str) -> list[str]:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return found_in(folder)


def test_of_a_good_workty_nothing_is_said_but_what_it_holds(folder: Path) -> None:
    report = check(folder)
    assert report.good
    assert report.findings == ()
    assert report.files == 2
    assert report.manifest is not None
    assert report.package is not None


@pytest.mark.parametrize(
    "manifest", [*Path(builtin.__file__).parent.glob("*/workty.toml")], ids=lambda p: p.parent.name
)
def test_nothing_is_wrong_with_what_comes_with_workty(manifest: Path) -> None:
    assert found_in(manifest.parent) == []


def test_all_mistakes_of_a_manifest_are_found_at_once_each_in_its_line(folder: Path) -> None:
    (folder / "workty.toml").write_text(
        'version = 1.0\nlanguage = "pyton"\nentry = "x"\nlabel = []\n'
        '[[properties]]\nname = "a"\n[[properties]]\nname = "b"\ntype = "number"\ndefault = "x"\n'
        '[[properties]]\ntype = "text"\n[limits]\ncpu = "1"\n'
        '[policy]\nretries = 101\ntimeout = 9\nretry_on = ["exit", "luck"]\n'
    )
    assert [line.partition(", got")[0] for line in found_in(folder)] == [
        "workty.toml: name is missing",
        "workty.toml:1: version: expected a text of up to 64 characters",
        "workty.toml:2: language: expected one of executable, java, nodejs, python",
        "workty.toml:4: label: unknown key; known are access, description, entry, labels, language, limits, name, "
        "offline_grace, on_interrupt, policy, properties, resumable, states, version",
        "workty.toml:10: properties[1].default: expected a value of type number",
        "workty.toml:11: properties[2].name is missing",
        "workty.toml:14: limits.cpu: expected a number",
        "workty.toml:16: policy.retries: expected a whole number from 0 to 100",
        "workty.toml:17: policy.timeout: unknown key; known are backoff, backoff_factor, backoff_most, exit_codes, "
        "jitter, on_failure, retries, retry_on",
        "workty.toml:18: policy.retry_on: expected one of board-lost, crash, exit, interrupted, memory, output, "
        "package, signal, timeout",
    ]


@pytest.mark.parametrize(
    ("file", "old", "new", "finding"),
    [
        ("workty.toml", '"1.0"', '"1.0', "workty.toml:2: no TOML: Illegal character '\\n'"),
        ("workty.toml", '"main.py"', '"app.py"', "workty.toml:4: the package has no file 'app.py'"),
        ("workty.toml", '"python"', '"nodejs"', "main.py: a file of python, but the package says that its language is"),
        ("workty.toml", ', "finishing"', "", "main.py:6: state 'finishing' is missing among the states of workty.toml"),
        ("workty.toml", '"finishing"', '"ending", "finishing"', "workty.toml:5: states: Copying has no state 'ending'"),
        ("main.py", "if self.memory:", "if self.memory", "main.py:16: no Python: expected ':'"),
        ("main.py", '"finishing")', "'copying')", "main.py:6: Copying: state 'copying' is there more than once"),
        ("main.py", '"dest": "="', '"dst": "="', "main.py:9: Copying: transitions[1]: unknown key 'dst'"),
        ("main.py", 'else "empty"', 'else "emty"', "main.py:13: on_enter_listing returns 'emty', which is no"),
        ("main.py", "def on_enter_copying", "def on_enter_cop", "main.py:15: on_enter_cop: Copying has no state 'cop'"),
        ("main.py", 'None if self.properties["files"] else ', "", "main.py:15: state 'copying' is never entered"),
        ("main.py", "    transitions", '    initial = "end"\n    transitions', "main.py:6: Copying: initial: 'end'"),
        ("main.py", "class Copying", "class Other(Workty): pass\nclass Copying", "main.py:6: the file defines Other, "),
    ],
)  # fmt: skip
def test_a_mistake_is_found_with_its_line(folder: Path, file: str, old: str, new: str, finding: str) -> None:
    found = changed(folder, file, old, new)
    assert any(each.startswith(finding) for each in found)
    assert not check(folder).good


@pytest.mark.parametrize(
    ("file", "old", "new", "finding"),
    [
        ("main.py", '["files"]', '["fles"]', "main.py:13: warning: property 'fles' is read, but workty.toml does not"),
        ("main.py", 'self.properties["files"]', "x", "workty.toml:8: warning: property 'files' is declared, but never"),
        ("main.py", 'return "again"', "return None", "main.py:9: warning: no handler returns the trigger 'again'"),
        (
            "main.py",
            "on_enter_copying",
            "enter_copying",
            "main.py:6: warning: state 'copying' does nothing: Copying has no",
        ),
        (
            "main.py",
            '(FIRST, "c',
            '(*first(), "c',
            "main.py:6: warning: states of Copying are not plainly written here",
        ),
    ],
)
def test_what_is_doubtful_is_a_warning_and_no_mistake(
    folder: Path, file: str, old: str, new: str, finding: str
) -> None:
    assert any(each.startswith(finding) for each in changed(folder, file, old, new))
    assert check(folder).good


@pytest.mark.parametrize(
    "handler",
    [
        'return {"a": "again"}.get(x)',
        "while True:\n            if x: return",
        "try:\n            x()\n        except ValueError:\n            return 'empty'",
        "with suppress(ValueError):\n            return 'empty'",
        "if x:\n            return 'empty'\n        elif y:\n            return 'empty'",
    ],
)
def test_a_handler_that_may_go_on_is_never_said_not_to(folder: Path, handler: str) -> None:
    found = changed(folder, "main.py", 'return None if self.properties["files"] else "empty"', handler)
    assert not any("never entered" in each for each in found)


@pytest.mark.parametrize(
    "handler",
    ["if x:\n            return 'empty'\n        raise ValueError", "while True:\n            return 'empty'"],
)
def test_a_handler_that_never_goes_on_is_said_not_to(folder: Path, handler: str) -> None:
    found = changed(folder, "main.py", 'return None if self.properties["files"] else "empty"', handler)
    assert any("state 'copying' is never entered" in each for each in found)


def test_properties_that_another_file_reads_or_that_are_passed_on_are_read(folder: Path) -> None:
    (folder / "helper.py").write_text('def files(workty):\n    return workty.properties.get("files", 1)\n')
    assert changed(folder, "main.py", 'self.properties["files"]', "files(self)") == []
    (folder / "helper.py").unlink()
    assert changed(folder, "main.py", "files(self)", "files(**self.properties)") == []


def test_the_code_of_a_workty_is_read_and_never_run(folder: Path) -> None:
    (folder / "main.py").write_text("import no_such_module\nraise SystemExit\n" + CODE)
    assert check(folder).good


def test_an_executable_must_be_one(folder: Path) -> None:
    found = changed(folder, "workty.toml", '"python"', '"executable"')
    assert found == ["main.py: is not executable: chmod +x main.py"]
    (folder / "main.py").chmod(0o755)
    assert found_in(folder) == ["main.py:1: is neither a program nor a script: begin it with a line such as #!/bin/sh"]
    (folder / "main.py").write_bytes(b"#!/bin/sh\r\necho\r\n")
    assert found_in(folder) == ["main.py:1: has the line ends of Windows (CR LF); save it with those of Unix (LF)"]


def test_javascript_is_checked_by_node(folder: Path) -> None:
    (folder / "workty.toml").write_text(MANIFEST.replace("python", "nodejs").replace("main.py", "app.js"))
    (folder / "app.js").write_text("let x = 1;\nlet y = ;\n")
    assert found_in(folder) == ["app.js:2: no JavaScript: SyntaxError: Unexpected token ';'"]


def test_what_cannot_be_packed_is_a_mistake(folder: Path) -> None:
    (folder / "link").symlink_to("main.py")
    [found] = found_in(folder)
    assert found.endswith("link is a link or a special file; only files and folders are allowed")


def test_a_folder_without_a_manifest_is_no_workty(tmp_path: Path) -> None:
    assert found_in(tmp_path) == ["workty.toml: no such file; `workty workty new NAME` makes a workty with one"]
