"""The state machine of a workty as a graph: its states, and the ways that it may go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from workties.authoring.source import WorktyClass
from workties.ways import NEXT, SAME, mistakes_of_transitions, sources


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from a state to another; without a `trigger` it is the way to the following state."""

    source: str
    dest: str
    trigger: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """States in order, the one to begin with, and the ways. In its last state the workty is complete."""

    name: str
    states: tuple[str, ...]
    initial: str
    edges: tuple[Edge, ...]

    def reachable(self) -> set[str]:
        """The states that may be entered."""
        found, new = set[str](), {self.initial}
        while new:
            found |= new
            new = {edge.dest for edge in self.edges if edge.source in new} - found
        return found


def in_order(name: str, states: Sequence[str]) -> Machine:
    """A machine that goes from each state to the following one; `states` must not be empty."""
    edges = tuple(Edge(a, b) for a, b in pairwise(states))
    return Machine(name, tuple(states), states[0], edges)


def machine_of(found: WorktyClass) -> Machine | None:
    """The machine of a class: only ways that its handlers may take. None if the text does not say it, or is wrong."""
    if not found.states or found.transitions is None:
        return None
    if found.initial not in ("", *found.states):
        return None
    if mistakes_of_transitions(found.states, [transition for transition, _ in found.transitions]):
        return None
    return Machine(found.name, found.states, found.initial or found.states[0], tuple(_edges(found, found.states)))


def possible(found: WorktyClass, state: str) -> set[str] | None:
    """The triggers that may follow in `state`, `NEXT` among them; None if that may be any."""
    handler = found.handlers.get(state)
    if handler is None:
        return None if found.inherits else {NEXT}
    returns = handler.returns
    if returns.anything:
        return None
    return {trigger for trigger, _ in returns.triggers} | ({NEXT} if returns.nothing else set())


def triggers(found: WorktyClass, state: str) -> list[str]:
    """The triggers that `state` has, `NEXT` among them."""
    states, transitions = found.states or (), found.transitions or ()
    own = [way["trigger"] for way, _ in transitions if state in sources(way, states)]
    return own if state == states[-1] else [*own, NEXT]


def _edges(found: WorktyClass, states: tuple[str, ...]) -> Iterator[Edge]:
    after = dict(pairwise(states))
    for state in states:
        wanted = possible(found, state)
        if state in after and (wanted is None or NEXT in wanted):
            yield Edge(state, after[state])
        for way, _ in found.transitions or ():
            if state in sources(way, states) and (wanted is None or way["trigger"] in wanted):
                yield Edge(state, state if way["dest"] == SAME else way["dest"], way["trigger"])
