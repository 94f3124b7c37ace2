"""What a fault is, and all faults that a storm draws from."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from tests.chaos.killing import BrokerRestart, DatabaseRestart, Kill, PowerCut, StepDown
from tests.chaos.severing import Cut, Delay, HalfOpen
from tests.chaos.stack import APIS, BOARDS, ORCHESTRATORS, ChaosStack


class Fault(Protocol):
    """Something that goes wrong. `kind` names it in reports."""

    kind: str

    def strike(self, random: Random) -> str:
        """Do it and mend it; return one line that says what was done. All that varies is drawn from `random`."""


def faults(stack: ChaosStack) -> Sequence[tuple[Fault, int]]:
    """Every fault with its weight: how often it comes in one round of a storm."""
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
    )
