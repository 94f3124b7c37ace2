"""What `workty workty new|check|graph|pack` do around `workties.authoring`: paths, what is printed, what is refused."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from api.cli.problems import FAILED, WRONG_USE, Problem
from api.cli.texts import clean
from workties.authoring.checking import PACKAGE, Report, check
from workties.authoring.findings import Finding
from workties.authoring.mermaid import mermaid
from workties.authoring.skeleton import BadSkeleton, FolderExists, make
from workties.authoring.svg import svg
from workties.errors import BadPackage
from workties.manifest import MANIFEST
from workties.package import MAX_UNPACKED_BYTES, unpack


def new(folder: Path, language: str) -> None:
    """Make a workty and say what to do next."""
    try:
        files = make(folder, language)
    except BadSkeleton as error:
        raise Problem(str(error), FAILED if isinstance(error, FolderExists) else WRONG_USE) from error
    except OSError as error:
        raise Problem(f"{folder} cannot be made: {error.strerror}", FAILED) from error
    click.echo(f"Made {folder}/ with {', '.join(files)}. What next:")
    first = {"python": f"python -m unittest discover {folder}", "java": f"sh {folder}/build.sh"}
    click.echo(f"  {first.get(language, f'workty workty check {folder}')}")
    for verb in ("run", "push"):
        click.echo(f"  workty workty {verb} {folder}")


@contextmanager
def checked(path: Path) -> Iterator[Report]:
    """The report on the workty in a folder or zip; mistakes and doubts are printed on stderr, mistakes end this."""
    with opened(path) as folder:
        report = _report(path, folder)
        for finding in report.findings:
            click.echo(_where(path, finding), err=True)
        if not report.good:
            raise Problem(f"{_named(path)}: {_count(report)}. Nothing was done.", FAILED)
        yield report


def print_check(path: Path, *, json_: bool) -> bool:
    """Print all that is wrong with a workty; whether that is nothing."""
    with opened(path) as folder:
        report = _report(path, folder)
    if json_:
        found = [asdict(finding) for finding in report.findings]
        click.echo(json.dumps({"good": report.good, "findings": found}, indent=2))
        return report.good
    for finding in report.findings:
        click.echo(_where(path, finding))
    click.echo(f"{_named(path)}: {_count(report)}{_size(report)}")
    return report.good


def draw(path: Path, form: str | None, output: Path | None) -> None:
    """Print the state machine of a workty, or write it to a file, whose name may say in which form."""
    with opened(path) as folder:
        report = _report(path, folder)
    if report.machine is None:
        for finding in report.findings:
            click.echo(_where(path, finding), err=True)
        states = f"write them as plain texts in the class, or as `states` in {MANIFEST}"
        raise Problem(f"{_named(path)}: its states are not known; {states}", FAILED)
    as_svg = (form or ("svg" if output and output.suffix == ".svg" else "mermaid")) == "svg"
    text = svg(report.machine) if as_svg else mermaid(report.machine)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text.encode())
        click.echo(f"Wrote {output}")


def pack_to(path: Path, output: Path | None, *, json_: bool) -> None:
    """Check a folder, pack it, and print path, size and digest of the zip."""
    if not path.is_dir():
        raise Problem(f"{path} is no folder; only folders are packed", WRONG_USE)
    folder = path.resolve()
    # Beside the folder: within it, the next package would hold this one.
    target = output or _shortest(folder.parent / f"{folder.name}.zip")
    if target.resolve().is_relative_to(folder):
        raise Problem(
            f"{target} lies within {path}, and would be packed the next time; name a file elsewhere", WRONG_USE
        )
    with checked(path) as report:
        assert report.package  # noqa: S101  (what is good has one)
        data, info = report.package
        _write(target, data)
    if json_:
        click.echo(json.dumps({"path": str(target), "size": info.size, "sha256": info.sha256}, indent=2))
    else:
        click.echo(f"{target}\n{info.size} bytes\nsha256 {info.sha256}")


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder at `path`, or that in which the manifest of the zip at `path` lies, unpacked for a while."""
    if path.is_dir():
        yield path
        return
    if path.suffix in (".py", ".js", ".java", ".sh", ".toml"):
        raise Problem(f"{path} is a file of a workty; name the folder in which its {MANIFEST} lies", WRONG_USE)
    with TemporaryDirectory(prefix="workty-") as base:
        folder = Path(base) / "package"
        try:
            if path.stat().st_size > MAX_UNPACKED_BYTES:
                raise BadPackage(f"it has more than {MAX_UNPACKED_BYTES} bytes")
            unpack(path, folder)
        except BadPackage as error:
            raise Problem(clean(f"{path}: {error}"), FAILED) from error
        inner = [found for found in folder.iterdir() if found.name != "__MACOSX"]
        yield inner[0] if len(inner) == 1 and inner[0].is_dir() else folder


def _report(path: Path, folder: Path) -> Report:
    try:
        return check(folder)
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}: {error.filename}", FAILED) from error


def _where(path: Path, finding: Finding) -> str:
    """A finding with a path that can be opened from here, where there is one."""
    inside = path.is_dir() and str(path) != "." and finding.file != PACKAGE
    return clean(f"{path}/{finding}" if inside else str(finding))


def _named(path: Path) -> str:
    return str(path) if path.name else path.resolve().name


def _count(report: Report) -> str:
    warnings = sum(finding.warning for finding in report.findings)
    mistakes = len(report.findings) - warnings
    parts = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((mistakes, "mistake"), (warnings, "warning"))
        if count
    ]
    return ", ".join(parts) or "nothing is wrong"


def _size(report: Report) -> str:
    if report.package is None:
        return ""
    return f" ({report.files} files, {report.package[1].size} bytes packed)"


def _shortest(path: Path) -> Path:
    """A path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        hint = "; make its folder first" if error.errno == errno.ENOENT else ""
        raise Problem(f"{path} cannot be written: {error.strerror}{hint}", FAILED) from error
