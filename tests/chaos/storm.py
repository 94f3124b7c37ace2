"""A storm: faults at moments, of kinds, on targets that all follow from one seed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from tests.chaos.faults import Fault

#: Seconds from one fault to the next, on average.
EVERY = 2.2
#: Faults at a time.
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: when (seconds from the beginning), which, and the seed of all that varies in it."""

    at: float
    fault: Fault
    seed: str


def schedule(seed: str, faults: Sequence[tuple[Fault, int]], seconds: float) -> list[Strike]:
    """The strikes of a storm: rounds in which every fault comes as often as its weight says, in any order."""
    random = Random(f"{seed} strikes")
    times = sorted(random.uniform(0, seconds) for _ in range(round(seconds / EVERY)))
    drawn: list[Fault] = []
    while len(drawn) < len(times):
        one_round = [fault for fault, weight in faults for _ in range(weight)]
        random.shuffle(one_round)
        drawn += one_round
    return [Strike(at, fault, f"{seed} {place}") for place, (at, fault) in enumerate(zip(times, drawn, strict=False))]


def strike_all(strikes: Sequence[Strike], say: Callable[[str], object]) -> Counter[str]:
    """Carry a storm out; returns how often each kind struck, when all is mended. Raises what a fault raises."""
    begun = time.monotonic()
    running: list[Future[None]] = []

    def strike(each: Strike) -> None:
        say(f"{each.fault.kind}: {each.fault.strike(Random(each.seed))}")

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for each in strikes:
            time.sleep(max(0.0, begun + each.at - time.monotonic()))
            running.append(threads.submit(strike, each))
        for found in running:
            found.result()
    return Counter(each.fault.kind for each in strikes)
