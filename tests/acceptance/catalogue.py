"""Puts worktys of the tests' own into a server's catalogue: by an upload, or as an upload would."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import ObjectId

from orchestrator.catalogue.packages import PackageStore
from orchestrator.catalogue.service import package_document
from orchestrator.database import connect
from tests.acceptance.user import User
from tests.servers.stack import ADMIN
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

#: Writes numbered lines in two states; all of them together are more than one message may hold.
WRITER = """
from workties import Workty

class Writer(Workty):
    states = ("beginning", "ending")

    def on_enter_beginning(self):
        self.log("\\n".join(f"line {number} " + "x" * 500 for number in range(150)))

    def on_enter_ending(self):
        for number in range(150, 300):
            self.log(f"line {number} " + "x" * 500)
"""

#: Puts out what it was given, in its type and beside it.
ECHO = """
from workties import Workty

class Echo(Workty):
    states = ("listening", "speaking")

    def on_enter_speaking(self):
        self.output["said"] = self.properties["say"]
        self.output["kind"] = type(self.properties["say"]).__name__
"""


def upload_workty(user: User, directory: Path, name: str, code: str, *, limits: str = "") -> None:
    """Add a free template of this name over REST. `directory` is an empty place to pack it in."""
    zipped = base64.b64encode(_packed(directory, name, code, limits=limits)).decode()
    user.ask("POST", "/workties", {"name": name, "template": True, "compressedCode": zipped}, login=ADMIN)


def add_workty(
    database_url: str,
    directory: Path,
    name: str,
    code: str,
    *,
    limits: str = "",
    more: str = "",
    access: str = "",
    properties: dict[str, Any] | None = None,
) -> None:
    """Add a free template of this name.

    Parameters:
        directory: an empty place to pack it in.
        code: its `main.py`.
        limits, access: lines of its manifest's `[limits]` and `[access]`.
        more: further lines of its manifest.
        properties: names and defaults.
    """
    data = _packed(directory, name, code, limits=limits, more=more, access=access)
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


def _packed(directory: Path, name: str, code: str, *, limits: str = "", more: str = "", access: str = "") -> bytes:
    place = directory / name
    place.mkdir()
    (place / "main.py").write_text(code)
    head = f'name = "{name}"\nversion = "1"\nlanguage = "python"\nentry = "main.py"\n'
    manifest = f"{head}{more}\n[limits]\n{limits}\n[access]\n{access}\n"
    (place / "workty.toml").write_text(manifest)
    return pack(place)
