"""Checks the folder of a workty before anybody runs it: everything that is wrong with it, at once.

Nothing of the workty is run: its code is read as text (see `source`), so that a check costs little, is safe, and works
where the modules that the code imports are not installed, as those for a board's pins.
"""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workties.authoring.class_checks import check_classes, check_manifest_states, check_properties
from workties.authoring.findings import Finding
from workties.authoring.lines import line_of, read
from workties.authoring.machine import Machine, in_order, machine_of
from workties.authoring.source import find_classes, find_properties
from workties.authoring.syntax import check_entry, how_to_build, parse_python
from workties.errors import BadPackage
from workties.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest
from workties.package import PackageInfo, inspect, pack

#: Stands for a file in findings about the package as a whole.
PACKAGE = "package"


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a workty's folder.

    Attributes:
        findings: mistakes and doubts, by file and line.
        manifest: None if it is wrong.
        package: the zip, and what inspection says of it; None if it cannot be packed.
        files: how many the package has.
        machine: its states and ways, as far as its text or its manifest says them.
    """

    findings: tuple[Finding, ...] = ()
    manifest: Manifest | None = None
    package: tuple[bytes, PackageInfo] | None = None
    files: int = 0
    machine: Machine | None = None

    @property
    def good(self) -> bool:
        """Nothing is wrong; there may be warnings."""
        return not any(not finding.warning for finding in self.findings)


def check(folder: Path) -> Report:
    """Check the workty in `folder`. Raises `OSError` if its files cannot be read."""
    text, manifest, findings = _read_manifest(folder)
    if manifest is None:
        return Report(tuple(sorted(findings, key=_place)))
    try:
        data = pack(folder)
        package = data, inspect(data)
    except BadPackage as error:
        hint = how_to_build(folder, manifest.entry) if not (folder / manifest.entry).exists() else ""
        return Report((*findings, _package_finding(f"{error}{hint}", text)), manifest)
    entry = package[1].entry
    findings += check_entry(folder, entry, manifest.language)
    machine = in_order(manifest.name, manifest.states) if manifest.states else None
    if manifest.language == "python" and not findings:
        trees, wrong = _parse(folder, data, entry)
        findings += wrong
        if entry in trees:
            findings += _check_python(trees, entry, manifest, text)
            classes = find_classes(trees[entry])
            machine = (machine_of(classes[0]) if classes else None) or machine
    files = len(zipfile.ZipFile(io.BytesIO(data)).namelist())
    return Report(tuple(sorted(findings, key=_place)), manifest, package, files, machine)


def _read_manifest(folder: Path) -> tuple[str, Manifest | None, list[Finding]]:
    path = folder / MANIFEST
    if not path.is_file():
        return "", None, [Finding(MANIFEST, 0, "no such file; `workty workty new NAME` makes a workty with one")]
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        return "", None, [Finding(MANIFEST, 0, f"has more than {MAX_MANIFEST_BYTES} bytes")]
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        return "", None, [Finding(MANIFEST, 0, f"is no UTF-8: {error}")]
    manifest, problems = read(text)
    return text, manifest, [Finding(MANIFEST, line or 0, what) for line, what in problems]


def _package_finding(message: str, text: str) -> Finding:
    """Why the package cannot be made; a missing entry point is the manifest's mistake."""
    line = line_of(text, "entry") if "which it says to start" in message else None
    return Finding(MANIFEST if line else PACKAGE, line or 0, message)


def _parse(folder: Path, data: bytes, entry: str) -> tuple[dict[str, ast.Module], list[Finding]]:
    """The trees of all files of Python in the package, and those that are none."""
    names = [name for name in zipfile.ZipFile(io.BytesIO(data)).namelist() if name.endswith(".py") or name == entry]
    parsed = {name: parse_python(folder, name) for name in names}
    trees = {name: found for name, found in parsed.items() if isinstance(found, ast.Module)}
    return trees, [found for found in parsed.values() if isinstance(found, Finding)]


def _check_python(trees: dict[str, ast.Module], entry: str, manifest: Manifest, text: str) -> Iterator[Finding]:
    classes = find_classes(trees[entry])
    yield from check_classes(entry, classes)
    if classes:
        yield from check_manifest_states(entry, classes[0], manifest, text)
        yield from check_properties({name: find_properties(tree) for name, tree in trees.items()}, manifest, text)


def _place(finding: Finding) -> tuple[bool, str, int]:
    return finding.warning, finding.file, finding.line
