"""Runs steps as a board does that is set up in a certain way; a process of its own, so that any account may have it.

Run: python stepping.py STATE_DIR SETTINGS. Settings and each request are a line of JSON, each answer is one. Beside
every step runs another one, in a slot of its own, to which nothing may happen.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from worker_agent.commands import command
from worker_agent.isolation import Isolation
from worker_agent.orders import Orders, Stop
from worker_agent.outcome import Outcome
from worker_agent.process import Launch, StepProcess
from worker_agent.room import Room
from worker_agent.settings import IsolationSettings
from worker_agent.supervise import Supervisor
from worker_agent.warm import WarmStart
from workties.messages import Access, Checkpoint, Limits, Reason

BYSTANDER = """
import time
print("here", flush=True)
time.sleep(600)
"""


class Ears:
    """Hears what a step says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.told = 0
        self.heard = threading.Event()

    def state(self, checkpoint: Checkpoint) -> None:
        self.heard.set()

    def progress(self, progress: float, message: str) -> None:
        self.told += 1

    def line(self, stream: str, text: str) -> None:
        self.lines = [*self.lines[-50:], text]
        self.heard.set()

    def tick(self) -> float | None:
        return None


class Stepping:
    """Two slots of one board."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        paths = {name: tuple(map(Path, settings.pop(name, ()))) for name in ("step_shared", "step_devices")}
        self.directory = directory
        self._warm = WarmStart()
        self._isolation = Isolation(IsolationSettings(**settings, **paths), 2, directory / "steps", self._warm)
        self._count = 0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a step beside another one; what became of both."""
        with self._bystander() as bystander:
            directory = self._make(request["script"].replace("BYSTANDER", str(bystander.directory)))
            before = self._processes()
            limits = Limits(**{"wall": 60.0, "grace": 0.2, **request.get("limits", {})})
            ears = Ears()
            outcome = self._run(directory, 0, limits, ears, request=request)
            left = self._left(before)
            unharmed = bystander.is_well()
        return {
            "code": outcome.reason.code if outcome.reason else None,
            "return_code": outcome.exit.return_code,
            "message": outcome.reason.message if outcome.reason else "",
            "output": outcome.output,
            "lines": ears.lines,
            "told": ears.told,
            "left": len(left),
            "unharmed": unharmed,
        }

    def _run(
        self,
        directory: Path,
        slot: int,
        limits: Limits,
        ears: Ears,
        *,
        orders: Orders | None = None,
        request: Mapping[str, Any] = MappingProxyType({}),
    ) -> Outcome:
        entry = directory / "package" / "main.py"
        launch = Launch(
            command=command("python", entry.name, entry.parent, {"python": sys.executable}),
            package=entry.parent,
            home=directory / "home",
            input_file=directory / "input.json",
            limits=limits,
        )
        launch = self._isolation.confine(launch, slot, Access(**request.get("access", {})))
        process = StepProcess(launch) if request.get("plain") else self._isolation.start(launch)
        try:
            room = Room(launch.home, limits.disk)
            return Supervisor(process, orders or Orders(), ears, limits, room=room).run()
        finally:
            process.close()

    def _make(self, script: str) -> Path:
        self._count += 1
        directory = self.directory / "steps" / f"step-{self._count}"
        for name in ("package", "home"):
            (directory / name).mkdir(parents=True)
        (directory / "package" / "main.py").write_text(script)
        (directory / "input.json").write_text('{"properties": {"secret": "of this step"}}')
        return directory

    @contextlib.contextmanager
    def _bystander(self) -> Iterator[Bystander]:
        found = Bystander(self._make(BYSTANDER))
        limits = Limits(wall=600.0, grace=5.0)

        def run() -> None:
            found.outcome = self._run(found.directory, 1, limits, found.ears, orders=found.orders)

        thread = threading.Thread(target=run)
        thread.start()
        found.ears.heard.wait(60)
        try:
            yield found
        finally:
            found.orders.order_stop(Stop(Reason("stopped", "enough"), 5.0))
            thread.join()

    def _left(self, before: set[str]) -> set[str]:
        """Processes that were not there before and do not end by themselves, as a guardian does that has reported."""
        until = time.monotonic() + 5
        while (left := self._processes() - before) and time.monotonic() < until:
            time.sleep(0.01)
        return left

    def _processes(self) -> set[str]:
        """Processes of accounts that the slots have; the guardians' own are others' if this is root."""
        account = self._isolation.account(0)
        return {path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _owner(path) == account}


class Bystander:
    """The step beside the one that is looked at."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.ears, self.orders = directory, Ears(), Orders()
        self.outcome: Outcome | None = None

    def is_well(self) -> bool:
        """Whether it runs, and has said nothing but that."""
        return self.outcome is None and self.ears.lines == ["here"]


def _owner(process: Path) -> int | None:
    """Whose process this is, unless it is one that starts steps."""
    try:
        name = (process / "comm").read_text().strip()
        return None if name in ("workty-zygote", "workty-guardian") else process.stat().st_uid
    except OSError:
        return None


def main(directory: Path, settings: dict[str, Any]) -> None:
    stepping = Stepping(directory, settings)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(stepping.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
