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
    """Nothing, if the workty `name` may declare these. Raises `BadWorkty`, which says what should be otherwise."""
    for mistake in (*mistakes_of_states(states), *(text for _, text in mistakes_of_transitions(states, transitions))):
        raise BadWorkty(f"{name}: {mistake}")


def mistakes_of_states(states: Sequence[str]) -> list[str]:
    """What is wrong with the states of a workty."""
    if isinstance(states, str) or not states or not all(isinstance(state, str) and state for state in states):
        return ['declare its states, e.g. states = ("preparing", "working")']
    twice = dict.fromkeys(state for state in states if list(states).count(state) > 1)
    return [f"state {state!r} is there more than once; a state has one name and one handler" for state in twice]


def mistakes_of_transitions(states: Sequence[str], transitions: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """What is wrong with the transitions between these states, and the index of the transition."""
    if isinstance(transitions, dict | str):
        return [(0, "transitions are a tuple; for a single one write transitions = ({...},)")]
    found = []
    taken: set[tuple[str, str]] = set()
    for index, transition in enumerate(transitions):
        mistake = _mistake(states, transition)
        ways = [] if mistake else [(state, transition["trigger"]) for state in sources(transition, states)]
        for state, trigger in ways:
            if (state, trigger) in taken:
                mistake = f"state {state!r} has the trigger {trigger!r} already; name this one otherwise"
        taken.update(ways)
        if mistake:
            found.append((index, f"transitions[{index}]: {mistake}"))
    return found


def sources(transition: Mapping[str, Any], states: Sequence[str]) -> list[str]:
    """The states in which a transition can be taken."""
    source = transition["source"]
    if source == ANY:
        return list(states)
    return [source] if isinstance(source, str) else list(source)


def _mistake(states: Sequence[str], transition: Mapping[str, Any]) -> str:
    """What is wrong with a transition; "" if nothing is."""
    if not isinstance(transition, dict):
        return f'expected {{"trigger": ..., "source": ..., "dest": ...}}, got {transition!r}'
    for key in transition:
        if key not in KEYS:
            return f"unknown key {key!r}; a transition has {', '.join(KEYS)}"
    for key in KEYS:
        if not transition.get(key):
            return f"{key!r} is missing; a transition has {', '.join(KEYS)}"
    trigger, dest = transition["trigger"], transition["dest"]
    if not isinstance(trigger, str) or trigger == NEXT:
        return f"expected a name of its own as trigger, not {trigger!r}; {NEXT!r} leads to the following state"
    for state in (*sources(transition, states), *(() if dest == SAME else (dest,))):
        if state not in states:
            return f"{state!r} is not among its states, {', '.join(states)}"
    return ""


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
