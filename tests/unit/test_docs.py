"""The documentation names what there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from orchestrator.settings import ServerSettings
from worker_agent.settings import AgentSettings, IsolationSettings

SETTINGS = [Path("docs", name).read_text(encoding="utf-8") for name in ("operating.md", "isolation.md")]


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    kinds = (ServerSettings, AgentSettings, IsolationSettings)
    names = {field.name for kind in kinds for field in dataclasses.fields(kind)} - {"isolation"}
    existing = {f"WORKTY_{name.upper()}" for name in names} | {"WORKTY_CONFIG"}
    rows = [line for text in SETTINGS for line in text.splitlines() if line.startswith("| `WORKTY_")]
    assert {name for row in rows for name in re.findall(r"`(WORKTY_\w+)`", row.split("|")[1])} == existing


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in (Path("README.md"), Path("CONTRIBUTING.md"), *Path("docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document}: {link}"
