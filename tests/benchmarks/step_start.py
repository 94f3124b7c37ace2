"""Measures what starting a step costs: a workty of two states that do nothing, from its start to its end.

In turns: forked from the warm interpreter, started plainly, both also in bubblewrap; beside `python -c pass`. Under the
account that measures, so that it can be run from any folder.

Run: python -m tests.benchmarks.step_start [turns]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker_agent.isolation import Isolation
from worker_agent.process import Launch, StepProcess
from worker_agent.settings import IsolationSettings
from worker_agent.warm import WarmStart
from workties.messages import Access, Limits

SCRIPT = """
from workties import Workty

class Nothing(Workty):
    states = ("one", "two")
"""
BARE = "python -c pass"


@dataclass(frozen=True)
class Cost:
    """Seconds."""

    wall: float
    cpu: float


class Steps:
    """Starts steps on a board with this sandbox."""

    def __init__(self, directory: Path, sandbox: str, warm: WarmStart) -> None:
        self._directory = directory
        settings = IsolationSettings(sandbox=sandbox, account=os.getuid())
        self._isolation = Isolation(settings, 1, directory, warm)

    def run_warm(self) -> None:
        """A step from the warm interpreter."""
        end(self._isolation.start(self._launch()))

    def run_plain(self) -> None:
        """A step without it."""
        end(StepProcess(self._launch()))

    def _launch(self) -> Launch:
        step = self._directory / "step"
        entry = step / "package" / "main.py"
        if not step.exists():
            for name in ("package", "home"):
                (step / name).mkdir(parents=True)
            entry.write_text(SCRIPT)
            (step / "input.json").write_text("{}")
        launch = Launch(
            command=(sys.executable, "-P", "-m", "workties.launch", str(entry)),
            package=entry.parent,
            home=step / "home",
            input_file=step / "input.json",
            limits=Limits(),
        )
        return self._isolation.confine(launch, 0, Access())


def end(process: StepProcess) -> None:
    """Wait for the end of a step, which must be a good one."""
    found = process.reap()
    process.close()
    if found.return_code:
        raise RuntimeError(f"the step ended with {found.return_code}")


def run_bare() -> None:
    """Start an interpreter that does nothing."""
    subprocess.run([sys.executable, "-c", "pass"], check=True)


@contextmanager
def variants() -> Iterator[dict[str, Callable[[], None]]]:
    """What is compared, by name."""
    with tempfile.TemporaryDirectory(prefix="workty-start-") as name:
        warm = WarmStart()
        try:
            found: dict[str, Callable[[], None]] = {BARE: run_bare}
            for sandbox, words in {"none": "", "bwrap": " in bubblewrap"}.items():
                steps = Steps(Path(name) / sandbox, sandbox, warm)
                found |= {f"warm{words}": steps.run_warm, f"plain{words}": steps.run_plain}
            yield found
        finally:
            warm.close()


def busy_seconds() -> float:
    """CPU time that this machine has spent on programs since its start: also on those that nobody here waits for."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split(None, 4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """CPU time of this process and of those it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main(turns: int) -> None:
    """Print the medians, and what they are of `python -c pass`."""
    with variants() as found:
        for run in found.values():
            run()
        walls: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(turns):
            for name, run in found.items():
                began = time.perf_counter()
                run()
                walls[name].append(time.perf_counter() - began)
        cpu = {name: machine_cost(run, turns) for name, run in found.items()}
    bare = Cost(statistics.median(walls[BARE]), cpu[BARE])
    for name in found:
        cost = Cost(statistics.median(walls[name]), cpu[name])
        print(
            f"{name:20} wall {cost.wall * 1000:6.1f} ms ({cost.wall / bare.wall:4.2f} of {BARE})"
            f"  CPU {cost.cpu * 1000:6.1f} ms ({cost.cpu / bare.cpu:4.2f})"
        )


def machine_cost(run: Callable[[], None], turns: int) -> float:
    """CPU seconds that the whole machine spent on a turn: right only if nothing else runs."""
    began = busy_seconds()
    for _ in range(turns):
        run()
    return (busy_seconds() - began) / turns


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
