"""Steps that stay in their second state for as long as a test likes, and the ledger that they write.

The ledger tells which states were really entered, whatever messages and documents say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from tests.acceptance.catalogue import add_workty
from tests.acceptance.user import User
from tests.servers import waiting
from tests.servers.stack import RealStack

#: Seconds until something has converged; on a slow and busy machine, too.
DEADLINE = 180

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
        self.log(state)
"""


def add_held(database_url: str, directory: Path, label: str, size: int = 0) -> None:
    """Add the workty `held-<label>`, for boards with that label.

    Args:
        directory: an empty place to pack it in.
        size: bytes that its package has at least.
    """
    properties = {"ledger": "", "until": "", "entry": ""}
    labels, code = f'labels = ["{label}"]', CODE + "#" * size
    add_workty(
        database_url, directory, f"held-{label}", code, properties=properties, more=labels, access="shared = true"
    )


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
        return Counter((entry, state) for entry, _, state in (line.rpartition(" ") for line in lines))

    def count(self, state: str) -> int:
        """How often a state was entered."""
        return sum(times for (_, entered), times in self.entered().items() if entered == state)


class HeldSteps:
    """Runs of one step each, by a user of their own, on boards with a label.

    Parameters:
        ledger: which they write, and nobody else.
    """

    def __init__(self, stack: RealStack, database: Database[dict[str, Any]], label: str, ledger: Ledger) -> None:
        self._stack, self._runs, self._workty, self.ledger = stack, database["runs"], f"held-{label}", ledger
        self.user = User(stack.url)
        self._entries: list[str] = []
        self.workflows: list[str] = []

    def close(self) -> None:
        """Nothing is heard any more."""
        self.user.close()

    def begin(self, *entries: str) -> None:
        """Begin a run for each entry of the ledger."""
        for entry in entries:
            self._entries.append(entry)
            self.workflows.append(self.user.workflow((self._workty, self.ledger.properties(entry))))
            self.user.run(self.workflows[-1])

    def until_holding(self) -> None:
        """Wait until all of them hold, and the server has their checkpoint."""
        self.until(lambda: self.count(state="running", worktyState="holding") == len(self.workflows), "steps to hold")

    def until_completed(self) -> None:
        """Wait until all runs are recorded as completed, or one as failed."""
        self.until(
            lambda: self.count(state="completed") == len(self.workflows) or self.count(state="failed") > 0,
            "steps to be completed",
        )

    def until(self, look: Any, what: str) -> None:
        """Wait until `look` returns something true."""
        waiting.until(look, seconds=DEADLINE, what=what, tail=self._stack.tails)

    def count(self, **first_step: str) -> int:
        """How many of them have these values in their document, e.g. `state="completed"`."""
        wanted = {f"steps.0.{name}": value for name, value in first_step.items()}
        return self._runs.count_documents(self._all() | wanted)

    def runs(self) -> Sequence[dict[str, Any]]:
        """Their documents."""
        return list(self._runs.find(self._all()))

    def assert_ran_once(self) -> None:
        """All are completed, in one attempt; each state was entered once, and each change is recorded once."""
        runs = self.runs()
        found = [(run["steps"][0]["state"], run["steps"][0]["attempt"]) for run in runs]
        assert found == [("completed", 1)] * len(self.workflows), (found, self._stack.tails())
        assert self.ledger.entered() == Counter((entry, state) for entry in self._entries for state in STATES)
        for history in (run["history"] for run in runs):
            assert [change["seq"] for change in history] == list(range(1, len(history) + 1))
            assert Counter(change["state"] for change in history) == Counter(("waiting", "running", "completed"))

    def _all(self) -> dict[str, Any]:
        return {"workflowId": {"$in": list(map(ObjectId, self.workflows))}}
