"""Tells what its board is, and how it is."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import network
import system

from workties import StepFailed, Workty

#: Parts that stay as they are while the board runs; the others are measured.
LASTING = ("board", "os")


class SystemReport(Workty):
    """Each part of the report is a value of the output. What the board does not tell is null, and no failure."""

    states = ("identifying", "measuring", "reporting")
    system: ClassVar = system.System()
    network: ClassVar = staticmethod(network.interfaces)

    def on_enter_identifying(self) -> None:
        only, known = self.properties["only"], self.parts()
        if not isinstance(only, list) or not all(part in known for part in map(str, only)):
            raise StepFailed(f"Property 'only': expected a list of {', '.join(known)}, got {only!r}")
        self.report(LASTING)

    def on_enter_measuring(self) -> None:
        self.progress(0.2, "measuring")
        before = self.system.ticks()
        if self.wants("cpu"):
            self.wait(self.properties["sample_seconds"])
        self.report(part for part in self.parts() if part not in LASTING)
        if self.wants("cpu"):
            self.output["cpu"]["use_percent"] = use(before, self.system.ticks())

    def on_enter_reporting(self) -> None:
        self.log("\n".join(summary(self.output)))
        self.progress(1, f"{len(self.output)} parts")

    def wants(self, part: str) -> bool:
        return not self.properties["only"] or part in self.properties["only"]

    def parts(self) -> dict[str, Callable[[], Any]]:
        """What can be reported, and who knows it."""
        return {
            "board": self.system.board,
            "os": self.system.distribution,
            "uptime": self.system.uptime,
            "cpu": self.system.cpu,
            "memory": self.system.memory,
            "disks": self.system.disks,
            "temperatures": self.system.temperatures,
            "network": self.network,
            "throttling": self.system.throttling,
        }

    def report(self, parts: Iterable[str]) -> None:
        """Put those of these parts into the output that are wanted."""
        readers = self.parts()
        self.output.update({part: readers[part]() for part in parts if self.wants(part)})


def use(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """How busy the CPU was between two looks, in percent of all cores; None if that cannot be told."""
    if not before or not after or after[1] <= before[1]:
        return None
    return round(100 * (after[0] - before[0]) / (after[1] - before[1]), 1)


def summary(report: Mapping[str, Any]) -> list[str]:
    """The parts that are there in a line each, for people."""
    return [f"{part}: {_words(value)}" for part, value in report.items()]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(_words, value)) or "none"
    return "unknown" if value is None else str(value)
