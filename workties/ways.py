"""Where a workty may go from each of its states: to the next one, or as its declared transitions say."""

from __future__ import annotations

from itertools import pairwise

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


def find_ways(states: Sequence[str], transitions: Sequence[Mapping[str, Any]]) -> Ways:
    """The ways in order of `states`, and `transitions` besides."""
    return _Machine(states, transitions) if transitions else _InOrder(states)


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
