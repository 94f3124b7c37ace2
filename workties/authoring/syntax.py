"""Whether a program is written as its language wants it, without running it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path

from workties.authoring.findings import Finding

#: Largest file that is read, bytes. Nobody writes larger ones.
MAX_SOURCE_BYTES = 1024 * 1024
#: Seconds that Node has to read a file.
NODE_SECONDS = 30.0
#: How files are named that the interpreters of a language start.
SUFFIXES = {"python": (".py",), "nodejs": (".js", ".mjs", ".cjs"), "java": (".jar", ".java")}

#: What makes a jar in a new workty, and where its classes lie: hidden, so that they do not get into the package.
BUILD, CLASSES = "build.sh", ".classes"
_JAR_MANIFEST = "META-INF/MANIFEST.MF"


def parse_python(folder: Path, file: str) -> ast.Module | Finding:
    """The tree of a file in `folder`, or what is wrong with it."""
    path = folder / file
    if path.stat().st_size > MAX_SOURCE_BYTES:
        return Finding(file, 0, f"larger than {MAX_SOURCE_BYTES} bytes, and was not checked", warning=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes())
    except SyntaxError as error:
        return Finding(file, error.lineno or 0, f"no Python: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        return Finding(file, 0, f"no Python: {error}")


def check_entry(folder: Path, file: str, language: str) -> list[Finding]:
    """What is wrong with the file to start, apart from Python's syntax."""
    path, suffix = folder / file, Path(file).suffix
    for other, suffixes in SUFFIXES.items():
        if suffix in suffixes and language not in (other, "executable"):
            return [Finding(file, 0, f"a file of {other}, but the package says that its language is {language}")]
    if language == "executable":
        return _check_executable(path, file)
    if suffix == ".jar":
        return _check_jar(folder, file)
    node = shutil.which("node") if language == "nodejs" else None
    return _check_node(node, path, file) if node else []


def how_to_build(folder: Path, entry: str) -> str:
    """What makes a jar of the sources in `folder`, as the end of a sentence; empty if `entry` is none, or has none."""
    if not entry.endswith(".jar") or not any(folder.glob("*.java")):
        return ""
    command = f"javac -d {CLASSES} *.java && jar --create --file {entry} --main-class Main -C {CLASSES} ."
    return f"; make it in this folder with a JDK: {f'sh {BUILD}' if (folder / BUILD).is_file() else command}"


def _check_jar(folder: Path, jar: str) -> list[Finding]:
    """A jar without the class that it starts, or that is older than a source of it."""
    wrong = _check_main_class(folder / jar)
    if wrong or not (folder / CLASSES).is_dir():  # only where the jar was made: all that is unpacked is new
        return [Finding(jar, 0, wrong)] if wrong else []
    made = (folder / jar).stat().st_mtime_ns
    newer = [source.name for source in sorted(folder.glob("*.java")) if source.stat().st_mtime_ns > made]
    return [Finding(jar, 0, f"is older than {newer[0]}{how_to_build(folder, jar)}", warning=True)] if newer else []


def _check_main_class(jar: Path) -> str:
    try:
        with zipfile.ZipFile(jar) as archive:
            info = archive.getinfo(_JAR_MANIFEST)
            text = archive.read(info).decode() if info.file_size <= MAX_SOURCE_BYTES else ""
            names = archive.namelist()
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        return f"is no jar: {error}"
    # Lines of more than 72 bytes go on in the next one, behind a space.
    main = re.search(r"^Main-Class: *(\S+)", re.sub(r"\r?\n ", "", text), flags=re.MULTILINE)
    if main is None:
        return "does not say which class to start; make it with --main-class NAME"
    if f"{main[1].replace('.', '/')}.class" not in names and "Class-Path:" not in text:
        return f"has no class {main[1]}, which it says to start"
    return ""


def _check_executable(path: Path, file: str) -> list[Finding]:
    if not path.stat().st_mode & 0o100:
        return [Finding(file, 0, f"is not executable: chmod +x {file}")]
    with path.open("rb") as stream:
        first = stream.readline(1024)
    if first.startswith(b"#!") and first.endswith(b"\r\n"):
        return [Finding(file, 1, "has the line ends of Windows (CR LF); save it with those of Unix (LF)")]
    if first.startswith((b"#!", b"\x7fELF")):
        return []
    return [Finding(file, 1, "is neither a program nor a script: begin it with a line such as #!/bin/sh")]


def _check_node(node: str, path: Path, file: str) -> list[Finding]:
    command = [node, "--check", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NODE_SECONDS, check=False)
    except (subprocess.TimeoutExpired, OSError) as error:
        return [Finding(file, 0, f"was not checked: {error}", warning=True)]
    if done.returncode == 0:
        return []
    line = re.search(rf"{re.escape(str(path))}:(\d+)", done.stderr)
    what = re.search(r"^\w*Error: .*$", done.stderr, flags=re.MULTILINE)
    return [Finding(file, int(line[1]) if line else 0, f"no JavaScript: {what[0] if what else 'node refuses it'}")]
