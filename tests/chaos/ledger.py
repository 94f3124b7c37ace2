"""The workties of storms: each appends a line to a file when it really enters a state; and that file read again.

The line is written after the board has stored the checkpoint of that state, so what the file knows the journal knows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

#: States of every workty here, in their order.
STATES = ("opening", "holding", "closing")

#: One append is one write, so lines of several steps do not mix. `wait` comes before the memory is changed, because a
#: pause makes a checkpoint in it, and the state is entered again afterwards.
CODE = """
import json, os, time
from workties import Workty

class Ledger(Workty):
    states = ("opening", "holding", "closing")

    def on_enter_opening(self):
        self.enter(0)

    def on_enter_holding(self):
        self.enter(self.properties["rest"])

    def on_enter_closing(self):
        self.enter(0)
        self.output["trail"] = self.memory["trail"]

    def enter(self, seconds):
        self.await_stored(600)
        line = json.dumps([self.properties["token"], self.attempt, self.state, self.board, time.time()])
        ledger = os.open(PATH, os.O_WRONLY | os.O_APPEND)
        os.write(ledger, line.encode() + b"\\n")
        os.close(ledger)
        if seconds:
            self.wait(seconds)
        self.memory["trail"] = [*self.memory.get("trail", []), self.state]
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of ledger workty: its name, and further lines of its manifest."""

    name: str
    manifest: str = ""
    resumable: bool = True
    fails_when_interrupted: bool = False


#: Several of the same make boards fetch several packages.
KINDS = (
    *(Kind(f"resuming-{number}") for number in range(4)),
    Kind("waiting", "offline_grace = 20.0"),
    Kind("restarting", "resumable = false", resumable=False),
    Kind("fragile", 'resumable = false\non_interrupt = "fail"', resumable=False, fails_when_interrupted=True),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A state that a step really entered. `token` names the step; `at` is the board's clock, for people."""

    token: str
    attempt: int
    state: str
    board: str
    at: float


def code(path: Path) -> str:
    """The program of a ledger workty that writes to `path`."""
    return f"PATH = {str(path)!r}\n{CODE}"


def read(path: Path) -> list[Line]:
    """What was written, in the order in which it was."""
    return [Line(*json.loads(line)) for line in path.read_text().splitlines()]
