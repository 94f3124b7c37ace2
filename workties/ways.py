"""Where a workty may go from each of its states: to the next one, or as its declared transitions say."""

from __future__ import annotations

from itertools import pairwise

from workties.errors import BadWorkty

TYPE_CHECKING = False  # as in typing, whose import every step would pay for
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Protocol

    class Ways(Protocol):
        """The ways between the states of one workty."""

        def triggers(self, state: str) -> list[str]:
            """Triggers that `state` has."""

        def follow(self, state: str, trigger: str) -> str:
            """The state to which `trigger`, which `state` must have, leads."""


#: Trigger from each state to the one after it.
NEXT = "next"
#: What a transition has, and nothing else.
KEYS = ("trigger", "source", "dest")
#: A source that is every state, and a destination that is the source.
ANY, SAME = "*", "="


def find_ways(states: Sequence[str], transitions: Sequence[Mapping[str, Any]]) -> Ways:
    """The ways in order of `states`, and `transitions` besides."""
    return _Machine(states, transitions) if transitions else _InOrder(states)


def refuse_mistakes(name: str, states: Sequence[str], transitions: Sequence[Mapping[str, Any]]) -> None:
    """Nothing, if the workty `name` may declare these.

    Raises:
        BadWorkty: says which declaration is wrong, and how it should be.
    """
    if isinstance(states, str) or not states or not all(isinstance(state, str) and state for state in states):
        raise BadWorkty(f'{name}: declare its states, e.g. states = ("preparing", "working")')
    for state in states:
        if list(states).count(state) > 1:
            raise BadWorkty(f"{name}: state {state!r} is there more than once; a state has one name and one handler")
    if isinstance(transitions, dict | str):
        raise BadWorkty(f"{name}: transitions are a tuple; for a single one write transitions = ({{...}},)")
    taken: set[tuple[str, str]] = set()
    for index, transition in enumerate(transitions):
        where = f"{name}: transitions[{index}]"
        for way in _ways_of(where, states, transition):
            if way in taken:
                raise BadWorkty(
                    f"{where}: state {way[0]!r} has the trigger {way[1]!r} already; name this one otherwise"
                )
            taken.add(way)


def sources(transition: Mapping[str, Any], states: Sequence[str]) -> list[str]:
    """The states in which a transition can be taken."""
    source = transition["source"]
    if source == ANY:
        return list(states)
    return [source] if isinstance(source, str) else list(source)


def _ways_of(where: str, states: Sequence[str], transition: Mapping[str, Any]) -> list[tuple[str, str]]:
    """State and trigger of each way that a transition makes. Raises `BadWorkty`."""
    if not isinstance(transition, dict):
        raise BadWorkty(f'{where}: expected {{"trigger": ..., "source": ..., "dest": ...}}, got {transition!r}')
    for key in (*transition, *KEYS):
        if key not in KEYS:
            raise BadWorkty(f"{where}: unknown key {key!r}; a transition has {', '.join(KEYS)}")
        if key not in transition:
            raise BadWorkty(f"{where}: {key!r} is missing; a transition has {', '.join(KEYS)}")
    trigger = transition["trigger"]
    if not isinstance(trigger, str) or not trigger or trigger == NEXT:
        raise BadWorkty(
            f"{where}: expected a name of its own as trigger, not {trigger!r}; {NEXT!r} leads to the next state"
        )
    found = sources(transition, states)
    for state in (*found, *(() if transition["dest"] == SAME else (transition["dest"],))):
        if state not in states:
            raise BadWorkty(f"{where}: {state!r} is not among its states, {', '.join(states)}")
    return [(state, trigger) for state in found]


class _InOrder:
    """A machine without branches. Importing `transitions` costs more than all else that such a workty needs."""

    def __init__(self, states: Sequence[str]) -> None:
        self._after = dict(pairwise(states))

    def triggers(self, state: str) -> list[str]:
        return [NEXT] if state in self._after else []

    def follow(self, state: str, trigger: str) -> str:
        return self._after[state]


class _Machine:
    """A machine of `transitions`."""

    state: str

    def __init__(self, states: Sequence[str], transitions: Sequence[Mapping[str, Any]]) -> None:
        from transitions import Machine  # noqa: PLC0415

        in_order = [{"trigger": NEXT, "source": a, "dest": b} for a, b in pairwise(states)]
        self._position = _Position()
        self._machine = Machine(
            self._position,
            states=list(states),
            transitions=[*transitions, *in_order],
            initial=states[0],
            auto_transitions=False,
        )

    def triggers(self, state: str) -> list[str]:
        found: list[str] = self._machine.get_triggers(state)
        return found

    def follow(self, state: str, trigger: str) -> str:
        self._machine.set_state(state)
        self._machine.events[trigger].trigger(self._position)
        return self._position.state


class _Position:
    """Where the machine is. Not the workty itself, so that its names stay free for its own methods."""

    state: str
