"""The workties that come with Workty: folders beside this file, packed as any other workty would be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workties.manifest import MANIFEST, Manifest, parse_manifest
from workties.package import PackageInfo, inspect, pack


@dataclass(frozen=True, slots=True)
class BuiltinPackage:
    """A built-in workty: its manifest, its package (a zip), and what inspection says of it."""

    manifest: Manifest
    data: bytes
    info: PackageInfo


@cache
def builtin_packages() -> tuple[BuiltinPackage, ...]:
    """All built-in workties, by name. The same version of Workty always gives the same bytes."""
    manifests = sorted(Path(__file__).parent.glob(f"*/{MANIFEST}"))
    return tuple(_package(found) for found in manifests)


def _package(found: Path) -> BuiltinPackage:
    data = pack(found.parent)
    return BuiltinPackage(parse_manifest(found.read_text("utf-8")), data, inspect(data))
