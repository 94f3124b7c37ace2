"""The documentation names what there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from orchestrator.settings import ServerSettings
from worker_agent.settings import AgentSettings

OPERATING = Path("docs/operating.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    fields = (*dataclasses.fields(ServerSettings), *dataclasses.fields(AgentSettings))
    existing = {f"WORKTY_{field.name.upper()}" for field in fields} | {"WORKTY_CONFIG"}
    rows = [line for line in OPERATING.splitlines() if line.startswith("| `WORKTY_")]
    assert {name for row in rows for name in re.findall(r"`(WORKTY_\w+)`", row.split("|")[1])} == existing


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in (Path("README.md"), Path("CONTRIBUTING.md"), *Path("docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document}: {link}"
