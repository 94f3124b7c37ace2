"""A workty whose steps stay in their second state for as long as a test likes, and the ledger that they write.

The ledger tells which states were really entered, whatever messages and documents say.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.acceptance.catalogue import add_workty

STATES = ("beginning", "holding", "ending")

#: Writes each state that it enters to the ledger, as one line; holds until a file is there.
CODE = """
import os
from workties import Workty

class Held(Workty):
    states = ("beginning", "holding", "ending")

    def on_enter_beginning(self):
        self.note("beginning")

    def on_enter_holding(self):
        self.note("holding")
        while not os.path.exists(self.properties["until"]):
            self.wait(0.2)

    def on_enter_ending(self):
        self.note("ending")

    def note(self, state):
        ledger = os.open(self.properties["ledger"], os.O_WRONLY | os.O_APPEND)
        os.write(ledger, f"{self.properties['entry']} {state}\\n".encode())
        os.close(ledger)
"""


class Ledger:
    """The ledger of some steps, and the file for which they hold.

    Parameters:
        folder: shared with steps, whatever account these have; may hold other ledgers.
        name: of this one.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._file, self._until = folder / name, folder / f"{name}-go-on"
        self._file.touch()
        self._file.chmod(0o666)

    def properties(self, entry: str) -> dict[str, str]:
        """What the step must be given that writes as `entry`."""
        return {"ledger": str(self._file), "until": str(self._until), "entry": entry}

    def release(self) -> None:
        """Let its steps go on."""
        self._until.touch()

    def entered(self) -> Counter[tuple[str, str]]:
        """How often each entry entered each state."""
        lines = self._file.read_text().splitlines()
        return Counter((entry, state) for entry, _, state in (line.partition(" ") for line in lines))

    def count(self, state: str) -> int:
        """How often a state was entered."""
        return sum(times for (_, entered), times in self.entered().items() if entered == state)


def once(*entries: str) -> Counter[tuple[str, str]]:
    """What a ledger says if each entry entered each state once."""
    return Counter((entry, state) for entry in entries for state in STATES)


def add_held(database_url: str, directory: Path) -> None:
    """Add the workty `held` to a server's catalogue. `directory` is an empty place to pack it in."""
    properties = {"ledger": "", "until": "", "entry": ""}
    add_workty(database_url, directory, "held", CODE, properties=properties, access="shared = true")
