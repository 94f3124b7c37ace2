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
from pathlib import Path

from tests.servers import waiting
from worker_agent import offspring
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


class Steps:
    """Starts steps on a board with this sandbox."""

    def __init__(self, directory: Path, sandbox: str, warm: WarmStart) -> None:
        self._directory = directory
        settings = IsolationSettings(sandbox=sandbox, step_account=os.getuid())
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


def cpu_seconds() -> float:
    """CPU time of this process, of those that have ended, and of the warm interpreter with those that it has forked."""
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    for pid in offspring.children():
        settled = Path(f"/proc/{pid}/task/{pid}/children")
        waiting.until(  # one of them waits for the next step
            lambda settled=settled: len(settled.read_text().split()) <= 1, seconds=60, what="guardians to be gone"
        )
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own


def main(turns: int) -> None:
    """Print the medians of wall time and the means of CPU time, and what they are of `python -c pass`."""
    with variants() as found:
        for run in found.values():
            run()
        walls: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(turns):
            for name, run in found.items():
                began = time.perf_counter()
                run()
                walls[name].append(time.perf_counter() - began)
        cpu = {name: cpu_cost(run, turns) for name, run in found.items()}
    wall = {name: statistics.median(seen) for name, seen in walls.items()}
    for name in found:
        print(
            f"{name:20} wall {wall[name] * 1000:6.1f} ms ({wall[name] / wall[BARE]:4.2f} of {BARE})"
            f"  CPU {cpu[name] * 1000:6.1f} ms ({cpu[name] / cpu[BARE]:4.2f})"
        )


def cpu_cost(run: Callable[[], None], turns: int) -> float:
    """CPU seconds of one turn, from many, since the system counts in hundredths of a second."""
    began = cpu_seconds()
    for _ in range(turns):
        run()
    return (cpu_seconds() - began) / turns


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
