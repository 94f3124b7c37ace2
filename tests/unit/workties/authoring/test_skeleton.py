"""New workties: each is good from the beginning, and is nobody else's folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from workties.authoring.checking import check
from workties.authoring.skeleton import BadSkeleton, FolderExists, languages, make
from workties.manifest import LANGUAGES


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_nothing_is_wrong_with_a_new_workty_of_any_language(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "tea-timer"
    files = make(folder, language)
    if language == "java":
        subprocess.run([folder / "build.sh"], check=True)
        files.append("app.jar")
    report = check(folder)
    assert report.findings == ()
    assert report.manifest is not None
    assert (report.manifest.name, report.manifest.language) == ("tea-timer", language)
    assert len(files) == report.files
    assert b"skeleton" not in b"".join((folder / file).read_bytes().lower() for file in files)


def test_a_jar_is_made_of_the_sources_of_a_new_workty_dated_alike(tmp_path: Path) -> None:
    folder = tmp_path / "tea"
    make(folder, "java")
    how = "make it in this folder with a JDK: "
    [missing] = check(folder).findings
    assert str(missing) == f"workty.toml:4: the package has no file 'app.jar', which it says to start; {how}sh build.sh"
    subprocess.run([folder / "build.sh"], check=True)
    with zipfile.ZipFile(folder / "app.jar") as jar:
        assert {info.date_time for info in jar.infolist()} == {(2000, 1, 1, 0, 0, 0)}
    assert check(folder).findings == ()

    os.utime(folder / "app.jar", (0, 0))
    (folder / "build.sh").unlink()
    [older] = check(folder).findings
    assert str(older).startswith(f"app.jar: warning: is older than Main.java; {how}javac -d .classes *.java && jar ")


@pytest.mark.parametrize(
    ("manifest", "finding"),
    [
        ("Main-Class: Main\n", "app.jar: has no class Main, which it says to start"),
        ("Created-By: hand\n", "app.jar: does not say which class to start; make it with --main-class NAME"),
        (None, "app.jar: is no jar: File is not a zip file"),
    ],
)
def test_a_jar_that_cannot_be_started_is_found(tmp_path: Path, manifest: str | None, finding: str) -> None:
    folder = tmp_path / "tea"
    make(folder, "java")
    (folder / "app.jar").write_bytes(b"no jar")
    if manifest is not None:
        with zipfile.ZipFile(folder / "app.jar", "w") as jar:
            jar.writestr("META-INF/MANIFEST.MF", manifest)
            jar.writestr("Tea.class", b"")
    assert [str(found) for found in check(folder).findings] == [finding]


def test_there_is_a_skeleton_of_each_language() -> None:
    assert languages() == sorted(LANGUAGES)


def test_the_tests_of_a_new_workty_pass_with_nothing_but_python(tmp_path: Path) -> None:
    make(tmp_path / "none", "python")
    root = str(Path(__file__).parents[4])
    command = [sys.executable, "-m", "unittest", "discover", "none"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, text=True, check=False)
    assert "Ran 2 tests" in done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["1st", "-x", "a b", "a.b", "ä", "x" * 65, ""])
def test_a_name_that_is_no_good_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSkeleton, match="a letter first"):
        make(Path(name) if not name else tmp_path / name, "python")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(FolderExists, match="is there already"):
        make(tmp_path / "mine", "python")
    assert list((tmp_path / "mine").iterdir()) == []
