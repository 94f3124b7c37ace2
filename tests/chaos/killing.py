"""Faults that kill: processes, whole boards, the broker, the database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

from tests.chaos.stack import ChaosStack

#: Seconds that something is gone at the shortest.
SHORTEST = 0.2


class Kill:
    """One process dies as by a lack of memory, and is started again; what it started may live on.

    Parameters:
        names: one of these processes.
        longest: seconds until it is started again.
    """

    def __init__(self, stack: ChaosStack, kind: str, names: Sequence[str], *, longest: float) -> None:
        self.kind = kind
        self._stack, self._names, self._longest = stack, names, longest

    def strike(self, random: Random) -> str:
        """Kill it, wait, start it."""
        name, seconds = random.choice(self._names), random.uniform(SHORTEST, self._longest)
        with self._stack.held(name):
            self._end(name)
            time.sleep(seconds)
            self._stack.real.launch(name)
        return f"{name}, back after {seconds:.1f} s"

    def _end(self, name: str) -> None:
        self._stack.real.kill9(name)


class PowerCut(Kill):
    """A process dies with everything that it started, at once."""

    def _end(self, name: str) -> None:
        self._stack.real.power_cut(name)


class BrokerRestart:
    """The broker loses power and comes back."""

    kind = "kill -9 of the broker"

    def __init__(self, stack: ChaosStack) -> None:
        self._stack = stack

    def strike(self, random: Random) -> str:
        """Kill it, wait, start it."""
        seconds = random.uniform(SHORTEST, 4)
        with self._stack.held("broker"):
            self._stack.rabbitmq.kill9()
            time.sleep(seconds)
            self._stack.rabbitmq.start()
        return f"started again after {seconds:.1f} s"


class DatabaseRestart:
    """The database loses power and comes back."""

    kind = "kill -9 of the database"

    def __init__(self, stack: ChaosStack) -> None:
        self._stack = stack

    def strike(self, random: Random) -> str:
        """Kill it, wait, start it."""
        seconds = random.uniform(SHORTEST, 5)
        with self._stack.held("database"):
            self._stack.mongod.kill9()
            time.sleep(seconds)
            self._stack.mongod.start()
        return f"started again after {seconds:.1f} s"


class StepDown:
    """The database's primary steps down, and is elected again."""

    kind = "step-down of the primary"

    def __init__(self, stack: ChaosStack) -> None:
        self._stack = stack

    def strike(self, random: Random) -> str:
        """Have it step down."""
        seconds = random.randint(1, 5)
        with self._stack.held("database"):
            self._stack.mongod.step_down(seconds)
        return f"for {seconds} s"
