"""Puts worktys of the tests' own into a server's catalogue, as an upload would."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import ObjectId

from orchestrator.catalogue.packages import PackageStore
from orchestrator.catalogue.service import package_document
from orchestrator.database import connect
from workties.package import inspect, pack

#: Appends its name to a file, so that the file tells how often a step was really begun.
LEDGER = """
from workties import Workty

class Ledger(Workty):
    states = ("writing", "resting")

    def on_enter_writing(self):
        with open(self.properties["path"], "a") as ledger:
            ledger.write(self.properties["entry"] + "\\n")

    def on_enter_resting(self):
        self.wait(self.properties["rest"])
"""


def add_workty(
    database_url: str,
    directory: Path,
    name: str,
    code: str,
    *,
    limits: str = "",
    properties: dict[str, Any] | None = None,
) -> None:
    """Add a free template of this name.

    Parameters:
        directory: an empty place to pack it in.
        code: its `main.py`.
        limits: lines of its manifest's `[limits]`.
        properties: names and defaults.
    """
    place = directory / name
    place.mkdir()
    (place / "main.py").write_text(code)
    manifest = f'name = "{name}"\nversion = "1"\nlanguage = "python"\nentry = "main.py"\n[limits]\n{limits}\n'
    (place / "workty.toml").write_text(manifest)
    data = pack(place)
    database = connect(database_url)
    builtin = database["workties"].find_one({"name": "without-delay"})
    assert builtin is not None
    rows = [{"_id": ObjectId(), "name": key, "value": value} for key, value in (properties or {}).items()]
    if rows:
        database["workty_properties"].insert_many(rows)
    PackageStore(database).put(data)
    own = {
        "_id": ObjectId(),
        "name": name,
        "created": datetime.now(UTC),
        "package": package_document(inspect(data)),
        "propertiesIds": [row["_id"] for row in rows],
    }
    database["workties"].insert_one(builtin | own)
    database.client.close()
