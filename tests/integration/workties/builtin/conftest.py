"""Runs built-in workties as boards do, with all their properties filled in, and serves what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workties.builtin.site import Site
from workties import builtin
from workties.manifest import MANIFEST, parse_manifest
from workties.messages import Checkpoint
from workties.properties import fill

Start = Callable[..., Any]


@pytest.fixture
def perform(start: Start) -> Start:
    """perform(name, checkpoint=..., **properties): a started program of the built-in workty."""

    def begin(name: str, *, checkpoint: Checkpoint | None = None, **properties: Any) -> Any:
        folder = Path(builtin.__file__).parent / name
        manifest = parse_manifest((folder / MANIFEST).read_text())
        return start(folder / manifest.entry, checkpoint=checkpoint, **fill(manifest.properties, properties))

    return begin


@pytest.fixture
def site() -> Iterator[Site]:
    """A server whose answers a test decides."""
    with Site() as found:
        yield found
