"""Faults of connections: cut, half-open, slow."""

from __future__ import annotations

import time
from random import Random

from tests.chaos.stack import ChaosStack
from tests.servers.proxy import Link


class _LinkFault:
    """Something that is wrong with one of the stack's links."""

    kind = ""

    def __init__(self, stack: ChaosStack) -> None:
        self._stack = stack

    def strike(self, random: Random) -> str:
        """Disturb a link, and mend it."""
        link = random.choice(self._stack.links)
        with self._stack.held(link.name):
            return f"{link.name}, {self._disturb(link, random)}"

    def _disturb(self, link: Link, random: Random) -> str:
        raise NotImplementedError


class Cut(_LinkFault):
    """All connections of a link are reset; sometimes nobody gets through for a while."""

    kind = "cut"

    def _disturb(self, link: Link, random: Random) -> str:
        if random.random() < 0.5:
            link.cut()
            return "connections of then"
        seconds = random.uniform(0.5, 15)
        link.cut(refuse=True)
        time.sleep(seconds)
        link.heal()
        return f"nobody got through for {seconds:.1f} s"


class HalfOpen(_LinkFault):
    """What is sent over a link vanishes without a word; whoever still waits is told at the end that it is gone."""

    kind = "half-open"

    def _disturb(self, link: Link, random: Random) -> str:
        new, seconds = random.random() < 0.5, random.uniform(1, 20)
        link.black_hole(new=new)
        time.sleep(seconds)
        link.heal()
        return f"{'all connections' if new else 'connections of then'} for {seconds:.1f} s"


class Delay(_LinkFault):
    """Everything on a link comes late."""

    kind = "delay"

    def _disturb(self, link: Link, random: Random) -> str:
        late, seconds = random.uniform(0.02, 1.5), random.uniform(2, 15)
        link.delay(late)
        time.sleep(seconds)
        link.heal()
        return f"{late:.2f} s each way for {seconds:.1f} s"
