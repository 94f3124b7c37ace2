"""copy-directory: the target becomes like the source, whatever is in it, and however often it is cut short."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workties import builtin
from workties.messages import Checkpoint
from workties.protocol import LogText, PausedLine, StateLine

Start = Callable[..., Any]
States = Callable[[list[Any]], list[str]]


def tree(root: Path) -> dict[str, Any]:
    """What is in a folder: kind, mode, time and content by path."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: Any = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        mode = "link" if path.is_symlink() else oct(status.st_mode)
        found[str(path.relative_to(root))] = (mode, status.st_mtime_ns, content)
    return found


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Source and target as properties; the source has some of everything."""
    source = tmp_path / "source"
    (source / "deep" / "deeper").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "a file").write_text("a")
    (source / "deep" / "program").write_text("#!/bin/sh")
    (source / "deep" / "program").chmod(0o750)
    (source / "deep" / "deeper" / "grün.txt").write_text("b" * 1000)
    (source / "deep" / "link").symlink_to("../a file")
    (source / "deep" / "out").symlink_to("/etc")
    (source / os.fsdecode(b"not \xff unicode")).write_text("c")
    (source / "zero").touch()
    for number, path in enumerate(sorted(source.rglob("*"))):
        os.utime(path, ns=(10**18, 10**18 + number), follow_symlinks=False)
    (source / "deep" / "deeper").chmod(0o555)
    return {"source": str(source), "target": str(tmp_path / "target")}


def output(program: Any) -> dict[str, Any]:
    """What the program leaves for later steps."""
    *_, line = program.lines()
    code, _, stderr = program.end()
    assert (code, stderr) == (0, "")
    return dict(line.output)


def checkpoint_of(line: Any) -> Checkpoint:
    return Checkpoint(line.state, line.memory)


def assert_alike(places: dict[str, str]) -> None:
    assert tree(Path(places["target"])) == tree(Path(places["source"]))


def test_everything_is_copied_once(perform: Start, places: dict[str, str], states: States) -> None:
    program = perform("copy-directory", **places, verify=True)
    lines = program.lines()
    assert program.end() == (0, "", "")
    assert list(dict.fromkeys(states(lines))) == ["scanning", "deleting", "copying", "verifying", "finishing"]
    assert lines[-1].output == {"files": 7, "bytes": 1011, "skipped": 0, "deleted": 0, "problems": []}
    assert_alike(places)
    again = output(perform("copy-directory", **places))
    assert again == {"files": 0, "bytes": 0, "skipped": 7, "deleted": 0, "problems": []}
    assert_alike(places)


def test_what_changed_is_copied_and_what_is_superfluous_goes(perform: Start, places: dict[str, str]) -> None:
    output(perform("copy-directory", **places))
    source, target = Path(places["source"]), Path(places["target"])
    (source / "a file").write_text("other")
    (source / "deep" / "program").chmod(0o700)
    (source / "empty").rmdir()
    (source / "empty").write_text("a file now")
    (target / "zero").unlink()
    (target / "zero").symlink_to("/etc/passwd")
    (target / "old" / "older").mkdir(parents=True)
    (target / "old" / "older" / "file").touch()
    (target / "deep" / "old.txt").touch()
    (target / "kept.log").touch()
    found = output(perform("copy-directory", **places, delete=True, exclude=["*.log"]))
    assert (found["files"], found["deleted"], found["problems"]) == (3, 4, [])
    assert (target / "kept.log").exists()
    (target / "kept.log").unlink()
    assert_alike(places)


def test_patterns_leave_out_names_and_paths(perform: Start, places: dict[str, str]) -> None:
    output(perform("copy-directory", **places, exclude=["*.txt", "deep/link", "empty"]))
    copied = set(tree(Path(places["target"])))
    assert set(tree(Path(places["source"]))) - copied == {"deep/deeper/grün.txt", "deep/link", "empty"}


def test_links_in_the_target_are_never_followed(perform: Start, places: dict[str, str], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    Path(places["target"]).mkdir()
    (Path(places["target"]) / "deep").symlink_to(outside)
    output(perform("copy-directory", **places, delete=True))
    assert_alike(places)
    assert [path.name for path in outside.iterdir()] == ["precious"]


def test_what_is_no_file_is_reported_and_left_out(perform: Start, places: dict[str, str]) -> None:
    os.mkfifo(Path(places["source"]) / "pipe")
    found = output(perform("copy-directory", **places))
    assert found["problems"] == ["pipe: is a device, pipe or socket, and was left out"]
    assert not (Path(places["target"]) / "pipe").exists()


def test_a_folder_in_the_place_of_a_file_is_a_problem_unless_it_may_be_deleted(
    perform: Start, places: dict[str, str]
) -> None:
    (Path(places["target"]) / "a file" / "inside").mkdir(parents=True)
    program = perform("copy-directory", **places)
    lines = program.lines()
    code, _, stderr = program.end()
    problem = "a file: has a folder in its place; property 'delete' removes it"
    assert (code, stderr) == (1, f"Not everything was copied; problems: 1. {problem}\n")
    assert LogText(problem) in lines
    output(perform("copy-directory", **places, delete=True))
    assert_alike(places)


def test_a_copy_that_is_not_the_same_is_found_by_comparing(perform: Start, places: dict[str, str]) -> None:
    output(perform("copy-directory", **places))
    spoiled = Path(places["target"]) / "a file"
    spoiled.write_text("x")
    os.utime(spoiled, ns=(0, (Path(places["source"]) / "a file").stat().st_mtime_ns))
    assert output(perform("copy-directory", **places))["skipped"] == 7
    code, _, stderr = perform("copy-directory", **places, verify=True).end()
    assert (code, stderr) == (1, "Not everything was copied; problems: 1. a file: differs from its copy\n")


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"source": "/no/such"}, "/no/such is no folder on this board, or none that steps may see"),
        ({"source": ""}, "Set the properties 'source' and 'target' to two folders"),
        ({"target": "SOURCE/empty"}, "SOURCE and SOURCE/empty lie within each other"),
        ({"target": "/proc/none"}, "/proc/none cannot be made: No such file or directory"),
        ({"exclude": "*.tmp"}, "Property 'exclude': expected a list of patterns, e.g. ['*.tmp'], got '*.tmp'"),
        ({"source": "SOURCE/empty", "delete": True}, "SOURCE/empty is empty, and everything in "),
    ],
)
def test_a_copy_that_cannot_be_begun_says_why(
    perform: Start, places: dict[str, str], properties: dict[str, Any], message: str
) -> None:
    source = places["source"]
    wrong = {
        key: value.replace("SOURCE", source) if isinstance(value, str) else value for key, value in properties.items()
    }
    code, _, stderr = perform("copy-directory", **places | wrong).end()
    assert code == 1
    assert stderr.startswith(message.replace("SOURCE", source))


@pytest.fixture
def slow(places: dict[str, str]) -> dict[str, Any]:
    """A large file among the others, which takes minutes to copy."""
    large = Path(places["source"]) / "deep" / "large"
    large.write_bytes(bytes(range(256)) * 4096)
    return {**places, "bytes_per_second": 16 * 1024}


def in_the_large_file(line: Any) -> bool:
    return isinstance(line, StateLine) and line.memory.get("partial", {}).get("done", 0) > 0


def test_a_killed_copy_goes_on_in_the_middle_of_a_file(
    perform: Start, slow: dict[str, Any], places: dict[str, str], states: States
) -> None:
    program = perform("copy-directory", **slow)
    kept = program.until(in_the_large_file)
    program.process.kill()
    program.end()
    assert kept.memory["partial"]["names"] == ["deep", "large"]
    # Had the file been begun again, these bytes would be the source's.
    done = kept.memory["partial"]["done"]
    with (Path(places["target"]) / ".workty-copy" / "part").open("r+b") as part:
        part.write(b"!" * done)
    again = perform("copy-directory", **places, checkpoint=checkpoint_of(kept))
    lines = again.lines()
    assert again.end() == (0, "", "")
    before = kept.memory["files"]
    log = f"goes on copying after deep/deeper/grün.txt; {before} copied, 0 unchanged so far"
    assert LogText(log) in lines
    assert (lines[-1].output["files"], lines[-1].output["skipped"]) == (8, 0)
    large = Path(places["target"]) / "deep" / "large"
    assert large.read_bytes()[: done + 1] == b"!" * done + bytes([done % 256])
    large.write_bytes((Path(places["source"]) / "deep" / "large").read_bytes())
    os.utime(large, ns=(0, (Path(places["source"]) / "deep" / "large").stat().st_mtime_ns))
    assert_alike(places)


def test_a_pause_ends_a_copy_soon_and_nothing_half_done_is_seen(
    perform: Start, slow: dict[str, Any], places: dict[str, str]
) -> None:
    program = perform("copy-directory", **slow)
    begun = program.until(lambda line: isinstance(line, StateLine) and line.state == "copying")
    program.pause()
    *lines, last = program.lines()
    *_, kept = (line for line in (begun, *lines) if isinstance(line, StateLine))
    assert (kept.state, last) == ("copying", PausedLine())
    assert not (Path(places["target"]) / "deep" / "large").exists()
    output(perform("copy-directory", **places, checkpoint=checkpoint_of(kept)))
    assert_alike(places)


def test_a_file_that_changed_since_is_copied_from_its_beginning(
    perform: Start, slow: dict[str, Any], places: dict[str, str]
) -> None:
    program = perform("copy-directory", **slow)
    kept = program.until(in_the_large_file)
    program.process.kill()
    program.end()
    (Path(places["source"]) / "deep" / "large").write_bytes(b"new" * 400_000)
    output(perform("copy-directory", **places, checkpoint=checkpoint_of(kept)))
    assert_alike(places)


def test_another_target_than_before_is_copied_to_from_the_beginning(
    perform: Start, places: dict[str, str], states: States
) -> None:
    memory = {"token": "of another board", "after": ["zero"], "partial": {}, "files": 7, "skipped": 0, "failed": 0}
    program = perform("copy-directory", **places, checkpoint=Checkpoint("copying", memory))
    lines = program.lines()
    assert list(dict.fromkeys(states(lines)))[:2] == ["copying", "scanning"]
    assert lines[-1].output["files"] == 7
    assert_alike(places)


def test_a_finished_copy_is_not_done_again(perform: Start, places: dict[str, str]) -> None:
    memory = {"files": 7, "bytes": 1, "skipped": 2, "deleted": 3, "failed": 0, "problems": [], "after": []}
    found = output(perform("copy-directory", **places, checkpoint=Checkpoint("finishing", memory)))
    assert found == {"files": 7, "bytes": 1, "skipped": 2, "deleted": 3, "problems": []}


def test_two_steps_do_not_copy_to_the_same_folder_at_once(perform: Start, slow: dict[str, Any]) -> None:
    first = perform("copy-directory", **slow)
    first.until(lambda line: isinstance(line, StateLine) and line.state == "copying")
    assert "Another step copies to" in perform("copy-directory", **slow).end()[2]


def test_modes_that_mean_something_else_for_another_owner_are_not_kept(perform: Start, places: dict[str, str]) -> None:
    (Path(places["source"]) / "a file").chmod(0o4755)
    output(perform("copy-directory", **places))
    assert stat.S_IMODE((Path(places["target"]) / "a file").stat().st_mode) == 0o755


@pytest.fixture
def tree_module() -> Any:
    """How a folder is walked through, without a step around it."""
    path = Path(builtin.__file__).parent / "copy-directory" / "tree.py"
    spec = importlib.util.spec_from_file_location("copy_directory_tree", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_walk_goes_on_from_any_point_also_when_that_is_gone(tree_module: Any, places: dict[str, str]) -> None:
    with tree_module.Descent(places["source"]) as source:
        whole = [(visit.names, visit.left) for visit in tree_module.walk(source.folder)]
        for number, (names, left) in enumerate(whole):
            if not left:
                after = tree_module.from_memory(json.loads(json.dumps(tree_module.to_memory(names))))
                visits = tree_module.walk(source.folder, after)
                rest = [(visit.names, visit.left) for visit in visits if visit.left or not visit.seen]
                assert rest == whole[number + 1 :]
        first = next(iter(tree_module.walk(source.folder, ("a fiddle",))))
        assert first.path == "a file"


def test_a_link_is_no_folder_to_enter(tree_module: Any, places: dict[str, str]) -> None:
    with tree_module.Descent(places["source"] + "/deep") as descent, pytest.raises(OSError, match="out"):
        descent.enter("out")
