"""The base class of workties in Python: a state machine that reports and checkpoints as it goes.

How its lines reach the agent is up to the channel it is given; how its file is found and loaded, to `workties.launch`.
"""

from __future__ import annotations

from workties import plain
from workties.bounds import MAX_LINE, MAX_PROGRESS_MESSAGE, MAX_STATE_BYTES
from workties.errors import BadWorkty, IllegalTrigger, StepFailed, UnknownProperty
from workties.ways import NEXT, find_ways, refuse_mistakes

TYPE_CHECKING = False  # as in typing, whose import every step would pay for
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, ClassVar

    from workties.channel import Channel
    from workties.ways import Ways

#: Where a checkpoint keeps the output so far; workties do not see it in their memory.
_OUTPUT = "_output"
_HANDLER = "on_enter_"


class Paused(BaseException):
    """Ends a workty at a checkpoint because a pause was asked. No `Exception`, so that workties do not catch it."""


class Properties(dict[str, "Any"]):
    """Values of properties by name. Reading one that is neither given nor declared raises `UnknownProperty`."""

    def __missing__(self, name: str) -> Any:
        raise UnknownProperty(name, list(self))


class Workty:
    """A small program that goes from state to state, and can go on from the state it was in.

    Declare `states` in the order in which they happen and write a method `on_enter_<state>` for each that does
    something. When it returns None, the next state follows; after the last one the step is complete. For any other way
    declare `transitions` and return the name of the trigger:

        from workties import Workty

        class Countdown(Workty):
            states = ("counting", "celebrating")
            transitions = ({"trigger": "again", "source": "counting", "dest": "counting"},)
            defaults = {"from": 3}

            def on_enter_counting(self):
                left = self.memory.get("left", self.properties["from"])
                self.progress(1 - left / self.properties["from"], f"{left} to go")
                self.memory["left"] = left - 1
                self.wait(0.1)
                return "again" if left > 1 else None

            def on_enter_celebrating(self):
                self.log("Lift-off!")
                self.output["counted"] = self.properties["from"]

    Entering a state makes a checkpoint of it, with `memory` and `output` as they are then. If the step is interrupted,
    the next attempt enters the state of the last checkpoint again, so write handlers such that a part done twice does
    no harm, or call `checkpoint` within them. A pause ends the workty at its next checkpoint or in a `wait`.

    An exception that a handler does not catch fails the step, and its traceback is shown with it; of a `StepFailed`
    only its message is. Test a workty without a server with `workties.testing.run`.

    Attributes:
        properties: values of the step's properties by name, of the types and with the defaults that workty.toml
            declares. Without a manifest, those not given are taken from `defaults`.
        memory: what to remember across interruptions; plain JSON of at most 256 KiB, together with the output. Keys
            are texts, and tuples come back as lists.
        output: what the step has to say when it is complete; plain JSON.
        state: the state it is in; empty before the first.
        board: id of the board that it runs on; empty if it was started by hand.
        attempt: which attempt of the step this is, from 1.
    """

    #: States in order.
    states: ClassVar[Sequence[str]] = ()
    #: Further ways: {"trigger": name, "source": state, list of states or "*" (all), "dest": state or "=" (the same)}.
    transitions: ClassVar[Sequence[Mapping[str, Any]]] = ()
    #: The state to begin with; the first one if empty.
    initial: ClassVar[str] = ""
    #: Values of properties that a step need not have, for programs without a manifest.
    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, given: Mapping[str, Any], channel: Channel) -> None:
        checkpoint = given.get("checkpoint") or {}
        self.properties = Properties({**self.defaults, **given.get("properties", {})})
        self.memory: dict[str, Any] = dict(checkpoint.get("memory", {}))
        self.output: dict[str, Any] = self.memory.pop(_OUTPUT, {})
        self.state: str = checkpoint.get("state", "")
        self.board: str = given.get("board", "")
        self.attempt: int = given.get("attempt", 1)
        self._resumes = bool(checkpoint)
        self._channel = channel

    def progress(self, fraction: float, message: str = "") -> None:
        """Report how far the step is, from 0 to 1, with a few words (at most 200 characters) about it."""
        progress = min(max(float(fraction), 0.0), 1.0)
        self._channel.send("progress", progress=progress, message=message[:MAX_PROGRESS_MESSAGE])

    def log(self, text: str) -> None:
        """Add the lines of `text` to the step's log."""
        for line in text.splitlines():
            self._channel.send("log", text=line[:MAX_LINE])

    def checkpoint(self) -> None:
        """Let a next attempt go on from here: this state, with `memory` and `output` as they are now.

        Does not return if a pause was asked.

        Raises:
            BadMessage: `memory` or `output` is no plain JSON, or too large; names the value.
        """
        plain.check(self.output, "output", limit=MAX_STATE_BYTES)
        kept = {_OUTPUT: self.output} if self.output else {}
        self._channel.send("state", state=self.state, memory={**self.memory, **kept})
        if self._channel.pause_asked():
            raise Paused

    def await_stored(self, seconds: float = 30.0) -> None:
        """Return when the board has stored the last checkpoint. Call it before what must not be done twice.

        Raises:
            StepFailed: the board has not stored it within `seconds`.
        """
        # The agent reads on only when it has stored what it read before, so that a second line read tells of the first.
        read = self._channel.heard(seconds)
        self._channel.send("output", output={})
        if not (read and self._channel.heard(seconds)):
            raise StepFailed(f"The board did not store the step's checkpoint within {seconds:g} s")

    def wait(self, seconds: float) -> None:
        """Wait. If a pause is asked meanwhile, make a checkpoint and do not return. Use this instead of a sleep."""
        if self._channel.pause_asked(seconds):
            self.checkpoint()

    def on_resume(self, state: str) -> None:
        """Called before `state` is entered again by an attempt that goes on from a checkpoint."""

    def run(self) -> None:
        """Go through the states, from the first or that of the checkpoint, to the end or a pause.

        Raises:
            BadWorkty: the class does not declare what it needs, or does not have the state of the checkpoint.
            IllegalTrigger: a handler returned a trigger that its state does not have.
        """
        self._refuse_mistakes()
        begin = self.state or self.initial or self.states[0]
        if begin not in self.states:
            raise BadWorkty(f"{self._name}: no state {begin!r} to go on from; its states are {', '.join(self.states)}")
        ways = find_ways(self.states, self.transitions)
        try:
            if self._resumes:
                self.on_resume(begin)
            self._go(ways, begin)
        except Paused:
            self._channel.send("paused")
            return
        if self.output:
            self._channel.send("output", output=self.output)

    def _go(self, ways: Ways, state: str) -> None:
        """Enter `state` and those that follow, up to the last."""
        while True:
            trigger = self._enter(state)
            if trigger is None and state == self.states[-1]:
                return
            possible = ways.triggers(state)
            if (trigger or NEXT) not in possible:
                raise IllegalTrigger(self._name, state, trigger or NEXT, possible)
            state = ways.follow(state, trigger or NEXT)

    def _enter(self, state: str) -> str | None:
        """Enter `state`: checkpoint, then handler. Returns the trigger that it wants, None for the next state."""
        self.state = state
        self._channel.entering(state)
        self.checkpoint()
        handler = getattr(self, _HANDLER + state, None)
        trigger = handler() if handler else None
        if trigger is not None and not isinstance(trigger, str):
            raise BadWorkty(
                f"{self._name}: {_HANDLER}{state} returned {trigger!r}; return the name of a trigger or nothing"
            )
        return trigger

    def _refuse_mistakes(self) -> None:
        """Find what would otherwise show late, e.g. handlers and transitions of states that do not exist."""
        refuse_mistakes(self._name, self.states, self.transitions)
        for name in dir(self):
            if name.startswith(_HANDLER) and name.removeprefix(_HANDLER) not in self.states:
                state, known = name.removeprefix(_HANDLER), ", ".join(self.states)
                raise BadWorkty(f"{self._name}: {state!r} is not among its states, {known}; see {name}")

    @property
    def _name(self) -> str:
        return type(self).__name__
