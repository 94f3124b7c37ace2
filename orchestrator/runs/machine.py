"""Life cycles of steps, runs and boards as `transitions` machines, used as tables: state x trigger -> state.

`docs/states.md` is generated from here. Which trigger an event pulls is decided in `decide`; this module only says
what is legal (live API contract, sections 5 and 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from transitions import Machine

from orchestrator.errors import OrchestratorError

ACTIVE = ["waiting", "running", "pausing", "paused", "stopping"]


class IllegalTransition(OrchestratorError):
    """A trigger was pulled in a state that has no transition for it."""

    def __init__(self, life_cycle: str, state: str, trigger: str) -> None:
        super().__init__(f"A {life_cycle} in state '{state}' cannot '{trigger}'")
        self.state = state
        self.trigger = trigger


class LifeCycle:
    """A readable table of transitions.

    Args:
        name: what lives: `step`, `run` or `board`.
        states: every state, the first one first.
        transitions: rows of trigger, source states, destination.
    """

    def __init__(
        self, name: str, states: Sequence[str], transitions: Sequence[tuple[str, str | list[str], str]]
    ) -> None:
        self.name = name
        self.states = tuple(states)
        self._machine = Machine(
            model=None,
            states=list(states),
            transitions=[{"trigger": name, "source": sources, "dest": dest} for name, sources, dest in transitions],
            initial=states[0],
            auto_transitions=False,
        )

    def after(self, state: str, trigger: str) -> str:
        """The state that `trigger` leads to from `state`. Raises `IllegalTransition`."""
        event = self._machine.events.get(trigger)
        found = event.transitions.get(state, []) if event is not None else []
        if not found:
            raise IllegalTransition(self.name, state, trigger)
        return str(found[0].dest)

    def allows(self, state: str, destination: str) -> bool:
        """Whether some trigger leads from `state` to `destination`."""
        return any(row[0] == state and row[2] == destination for row in self.rows())

    def rows(self) -> list[tuple[str, str, str]]:
        """Every transition as (state, trigger, destination), in order of the states."""
        found = [
            (source, trigger, str(transition.dest))
            for trigger, event in self._machine.events.items()
            for source, transitions in event.transitions.items()
            for transition in transitions
        ]
        return sorted(found, key=lambda row: (self.states.index(row[0]), self.states.index(row[2]), row[1]))


@cache
def step_life_cycle() -> LifeCycle:
    """How a step lives; `renew` is what the next run of its workflow does."""
    return LifeCycle(
        "step",
        ["initial", "waiting", "running", "completed", "failed", "paused", "stopped"],
        [
            ("wait", "initial", "waiting"),
            ("begin", "waiting", "running"),
            ("complete", "running", "completed"),
            ("fail", "running", "failed"),
            ("lose", "running", "waiting"),
            ("retry", "running", "waiting"),
            ("pause", ["waiting", "running"], "paused"),
            ("resume", "paused", "waiting"),
            ("stop", ["waiting", "running", "paused"], "stopped"),
            ("renew", ["completed", "failed", "stopped"], "initial"),
        ],
    )


@cache
def run_life_cycle() -> LifeCycle:
    """How a run lives: every change that follows from its current step and from what is wanted of it."""
    return LifeCycle(
        "run",
        ["waiting", "running", "pausing", "paused", "stopping", "completed", "failed", "stopped"],
        [
            ("begin", "waiting", "running"),
            ("wait", "running", "waiting"),
            ("ask_pause", ["waiting", "running"], "pausing"),
            ("withdraw_pause_running", "pausing", "running"),
            ("withdraw_pause_waiting", "pausing", "waiting"),
            ("pause", ["waiting", "running", "pausing"], "paused"),
            ("resume", "paused", "waiting"),
            ("ask_stop", ["waiting", "running", "pausing"], "stopping"),
            ("stop", ACTIVE, "stopped"),
            ("complete", ["running", "pausing", "stopping"], "completed"),
            ("fail", ["running", "pausing", "stopping"], "failed"),
        ],
    )


@cache
def board_life_cycle() -> LifeCycle:
    """How a board lives, as heartbeats and leases make it."""
    return LifeCycle(
        "board",
        ["disconnected", "waiting", "running"],
        [
            ("connect", "disconnected", "waiting"),
            ("reconnect", "disconnected", "running"),
            ("lease", "waiting", "running"),
            ("release", "running", "waiting"),
            ("fall_silent", ["waiting", "running"], "disconnected"),
        ],
    )
