"""One decision in the making: a working copy of a run, the effects so far, and the moves that keep both consistent.

`decide` says which moves an event makes; this module makes sure that each move is legal, that the state of the run
follows from its steps, that every change of state is announced once and in order, and that a run which ends or pauses
gives its slot back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from orchestrator.runs.documents import board_of, step_view
from orchestrator.runs.machine import IllegalTransition, run_life_cycle, step_life_cycle
from orchestrator.runs.references import assigned_properties
from orchestrator.runs.vocabulary import (
    Announce,
    Decision,
    Dispatch,
    Effect,
    Instruct,
    ReleaseSlot,
    Run,
    RunState,
    SeekSlot,
    Step,
    StepProgress,
    StepReason,
    StepState,
    TellState,
    Wanted,
)
from workties.errors import BadProperties
from workties.messages import Checkpoint

#: Longest reason of a step whose properties cannot be had, characters.
MAX_REASON = 2000


def derived_state(run: Run) -> RunState:
    """The state of a run, as it follows from its current step and from what is wanted."""
    step = run.step
    if step.state in {StepState.COMPLETED, StepState.FAILED, StepState.STOPPED, StepState.PAUSED}:
        return RunState(step.state.value)
    if run.wanted is Wanted.STOP:
        return RunState.STOPPING if step.active else RunState.STOPPED
    if run.wanted is Wanted.PAUSE:
        return RunState.PAUSING
    return RunState.RUNNING if step.state is StepState.RUNNING else RunState.WAITING


class Turn:
    """A working copy of `run`; `decision()` gives what became of it."""

    def __init__(self, run: Run, now: datetime) -> None:
        self.run = run
        self.now = now
        self._effects: list[Effect] = []
        self._signals: list[StepProgress] = []

    @property
    def step(self) -> Step:
        """The current step."""
        return self.run.step

    @property
    def board_name(self) -> str:
        """The name of the board that holds the slot, for messages."""
        return self.run.board.name if self.run.board is not None else "?"

    def decision(self) -> Decision:
        """What was decided."""
        return Decision(self.run, tuple(self._effects), tuple(self._signals))

    def effect(self, effect: Effect) -> None:
        """Have `effect` carried out, after those before it."""
        self._effects.append(effect)

    def signal(self, message: str) -> None:
        """Tell live clients how far the current step is."""
        step = self.step
        progress = step.progress or 0.0
        state = step.state.value
        self._signals.append(StepProgress(self.run.seq, step.instance, state, step.attempt, progress, message))

    def tell_state(self, workty_state: str, *, checkpoint: bool) -> None:
        """Tell live clients of the program's own state; every one of them, other than progress."""
        step = self.step
        told = (self.run.seq, step.instance, step.state.value, step.attempt, step.progress or 0.0)
        self.effect(TellState(*told, workty_state, checkpoint))

    def change_run(self, **fields: Any) -> None:
        """Set fields of the run."""
        self.run = replace(self.run, **fields)

    def change_step(self, index: int | None = None, **fields: Any) -> None:
        """Set fields of the current step, or of the one at `index`."""
        at = self.run.current if index is None else index
        steps = list(self.run.steps)
        steps[at] = replace(steps[at], **fields)
        self.run = replace(self.run, steps=tuple(steps))

    def checkpoint(self, point: Checkpoint) -> None:
        """Note where the current step can go on."""
        self.change_step(checkpoint=point, checkpointed=self.now)

    def announce(self, step: Step) -> None:
        """Tell live clients about a change that has been made to `step` or to the run."""
        state = derived_state(self.run)
        if state is not self.run.state and not run_life_cycle().allows(self.run.state.value, state.value):
            raise IllegalTransition("run", self.run.state.value, state.value)
        finished = self.run.finished or self.now if state.final else None
        self.run = replace(self.run, state=state, seq=self.run.seq + 1, finished=finished)
        self.effect(
            Announce(
                seq=self.run.seq,
                run_state=state.value,
                step=step_view(step, board_of(self.run, step)),
                completed=state is RunState.COMPLETED,
                started=self.run.started,
                finished=finished,
            )
        )

    # --- moves

    def move(self, trigger: str, **fields: Any) -> None:
        """Pull `trigger` on the current step, set `fields`, and announce it."""
        state = StepState(step_life_cycle().after(self.step.state.value, trigger))
        self.change_step(state=state, **fields)
        self.announce(self.step)

    def want(self, wanted: Wanted) -> None:
        """Note what is wanted of an attempt that is with a board, and announce the run's new state."""
        self.change_run(wanted=wanted)
        self.announce(self.step)

    def queue(self, trigger: str | None) -> None:
        """Let the run wait for a slot; `trigger` brings the current step to `waiting` if it is not."""
        self.change_run(queued=True, waiting_since=self.now)
        if trigger is not None:
            self.move(trigger, reason=StepReason("no-slot", "Waits for a free slot on a board that fits"))
        self.effect(SeekSlot())

    def dispatch(self) -> None:
        """Send the next attempt of the current, waiting step to the board whose slot the run has.

        A step whose properties cannot be had fails instead.
        """
        board, attempt = self.run.board, self.step.next_attempt
        if board is None:
            raise IllegalTransition("run", "without a board", "dispatch")
        try:
            assigned_properties(self.run)
        except BadProperties as error:
            self.change_step(attempt=attempt, seq=0, board=None)
            self.fail(StepReason("property", _shortened(str(error))))
            return
        sent = StepReason("sent", f"Sent to board '{board.name}', which has not begun it yet")
        self.change_step(
            attempt=attempt, seq=0, board=board, dispatched=self.now, accepted=None, asked=None, reason=sent
        )
        self.effect(Dispatch(board.id, self.step.instance, attempt))

    def instruct(self, command: str, reason: str) -> None:
        """Tell the board that has the slot to stop or pause the current attempt."""
        if self.run.board is not None:
            self.change_step(asked=self.now)
            self.effect(Instruct(self.run.board.id, self.step.instance, self.step.attempt, command, reason))

    def begun(self) -> None:
        """The board runs the current attempt: whatever it says next, the step was `running` before."""
        if self.step.state is StepState.WAITING:
            self.change_run(started=self.run.started or self.now)
            keep = self.step.reason if self.run.wanted is Wanted.STOP else None
            accepted = self.step.accepted or self.now
            self.move("begin", reason=keep, started=self.step.started or self.now, accepted=accepted)

    def complete(self, output: Mapping[str, Any]) -> None:
        """The current step ended well: the next one's turn, or the end of the run."""
        done = self.run.current
        state = step_life_cycle().after(self.step.state.value, "complete")
        self.change_step(
            state=StepState(state), output=output, progress=1.0, reason=None, dispatched=None, finished=self.now
        )
        if done + 1 < len(self.run.steps):
            self.change_run(current=done + 1)
        self.announce(self.run.steps[done])
        if self.run.state.final:
            self.give_back_slot()
        else:
            self._next()

    def end(self, trigger: str, **fields: Any) -> None:
        """End the run with the current step, by `stop` or `fail`."""
        self.move(trigger, dispatched=None, finished=self.now, **fields)
        self.change_run(queued=False, waiting_since=None)
        self.give_back_slot()

    def fail(self, reason: StepReason) -> None:
        """Fail the run with the current step, which is `running` before it fails, whatever it was."""
        self.begun()
        self.end("fail", reason=reason)

    def pause(self) -> None:
        """Pause at the current step, which is with no board any more."""
        self.change_run(wanted=Wanted.PAUSE, queued=False, waiting_since=None)
        self.move("pause", reason=None, dispatched=None, accepted=None, asked=None)
        self.give_back_slot()

    def give_back_slot(self) -> None:
        """Release the slot, if the run has one."""
        if self.run.board is not None:
            self.effect(ReleaseSlot(self.run.board.id))
            self.change_run(board=None)

    def _next(self) -> None:
        """Bring the next step to its board, or to the pause that was asked for."""
        self.move("wait", reason=StepReason("sent", f"Being sent to board '{self.board_name}'"))
        if self.run.wanted is Wanted.PAUSE:
            self.pause()
        else:
            self.dispatch()


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."
