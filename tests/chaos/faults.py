"""What a fault is, and all faults that a storm draws from."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from tests.chaos.clock import ClockJump
from tests.chaos.disk import FullDisk, SlowDisk, StalledDatabase
from tests.chaos.killing import BrokerRestart, DatabaseRestart, Kill, PowerCut, StepDown
from tests.chaos.meddling import Meddler, ReorderedEvents, RepeatedEvents, RepeatedOrders
from tests.chaos.severing import Cut, Delay, HalfOpen
from tests.chaos.stack import APIS, BOARDS, ORCHESTRATORS, SHIFTED, SMALL, ChaosStack


class Fault(Protocol):
    """Something that goes wrong. `kind` names it in reports."""

    kind: str

    def strike(self, random: Random) -> str:
        """Do it and mend it; return one line that says what was done. All that varies is drawn from `random`."""


class During:
    """A fault during which nobody else kills, starts or disturbs what it needs."""

    def __init__(self, stack: ChaosStack, held: str, fault: Fault) -> None:
        self.kind = fault.kind
        self._stack, self._held, self._fault = stack, held, fault

    def strike(self, random: Random) -> str:
        """As the fault itself."""
        with self._stack.held(self._held):
            return self._fault.strike(random)


def faults(stack: ChaosStack) -> Sequence[tuple[Fault, int]]:
    """Every fault with its weight: how often it comes in one round of a storm."""
    meddler = Meddler(stack.real.vhost, stack.accounts)
    journal = stack.board_directory(BOARDS[0]) / "journal.db"
    return (
        (PowerCut(stack, "kill -9 of an api", APIS, longest=4), 3),
        (Kill(stack, "kill -9 of an orchestrator", ORCHESTRATORS, longest=6), 3),
        (Kill(stack, "kill -9 of an agent", BOARDS, longest=4), 3),
        (PowerCut(stack, "power cut of a board", BOARDS, longest=20), 3),
        (BrokerRestart(stack), 1),
        (DatabaseRestart(stack), 2),
        (StepDown(stack), 2),
        (Cut(stack), 5),
        (HalfOpen(stack), 4),
        (Delay(stack), 3),
        (During(stack, "broker", RepeatedEvents(meddler)), 2),
        (During(stack, "broker", ReorderedEvents(meddler)), 2),
        (During(stack, "broker", RepeatedOrders(meddler)), 2),
        (During(stack, "clock", ClockJump(SHIFTED, stack.clock)), 2),
        (During(stack, "disk", FullDisk(SMALL, stack.disk)), 2),
        (During(stack, "journal", SlowDisk(BOARDS[0], journal)), 2),
        (During(stack, "database", StalledDatabase(stack.mongod)), 1),
    )
