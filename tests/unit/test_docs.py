"""The documentation names what there is."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from orchestrator.settings import ServerSettings
from worker_agent.settings import AgentSettings, IsolationSettings
from workties.builtin import builtin_packages

BUILTIN = Path("docs/builtin.md").read_text(encoding="utf-8")
SETTINGS = [Path("docs", name).read_text(encoding="utf-8") for name in ("operating.md", "isolation.md")]


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    kinds = (ServerSettings, AgentSettings, IsolationSettings)
    names = {field.name for kind in kinds for field in dataclasses.fields(kind)} - {"isolation"}
    existing = {f"WORKTY_{name.upper()}" for name in names} | {"WORKTY_CONFIG"}
    rows = [line for text in SETTINGS for line in text.splitlines() if line.startswith("| `WORKTY_")]
    assert {name for row in rows for name in re.findall(r"`(WORKTY_\w+)`", row.split("|")[1])} == existing


def test_every_built_in_workty_is_documented_with_its_properties_and_their_defaults() -> None:
    sections = dict(re.findall(r"^## `([a-z-]+)`$(.*?)(?=^## |\Z)", BUILTIN, flags=re.MULTILINE | re.DOTALL))
    manifests = {each.manifest.name: each.manifest for each in builtin_packages()}
    assert sections.keys() == manifests.keys()
    for name, manifest in manifests.items():
        rows = [line.split(" | ")[:3] for line in sections[name].splitlines() if line.startswith("| `")]
        declared = [[f"| `{p.name}`", p.type, _shown(p.default)] for p in manifest.properties]
        assert rows == declared, name


def _shown(default: object) -> str:
    return "" if default == "" else f"`{json.dumps(default)}`"


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in (Path("README.md"), Path("CONTRIBUTING.md"), *Path("docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document}: {link}"
