"""One decision in the making: a working copy of a run, the effects so far, and the moves that keep both consistent.

`decide` and `course` say which moves an event makes; this module makes sure that each move is legal, that the state of
the run follows from its steps, that every change of state is announced once and in order, and that a run which ends or
pauses gives its slot back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from orchestrator.runs.decision import (
    Announce,
    Decision,
    Dispatch,
    Effect,
    Instruct,
    ReleaseSlot,
    SeekSlot,
    StepProgress,
    TellState,
)
from orchestrator.runs.documents import board_of, step_view
from orchestrator.runs.machine import IllegalTransition, run_life_cycle, step_life_cycle
from orchestrator.runs.references import assigned_properties
from orchestrator.runs.vocabulary import (
    NO_SLOT,
    Run,
    RunState,
    Step,
    StepReason,
    StepState,
    Wanted,
)
from workties.errors import BadProperties
from workties.messages import Checkpoint

#: Longest reason of a step whose properties cannot be had, characters.
MAX_REASON = 2000


def derived_state(run: Run) -> RunState:
    """The state of a run that goes on, as it follows from its current step and from what is wanted."""
    if run.step.state is StepState.PAUSED:
        return RunState.PAUSED
    if run.wanted.ends:
        return RunState.STOPPING
    if run.wanted is Wanted.PAUSE:
        return RunState.PAUSING
    return RunState.RUNNING if run.step.state is StepState.RUNNING else RunState.WAITING


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

    def announce(self, step: Step, outcome: RunState | None = None) -> None:
        """Tell live clients about a change that has been made to `step` or to the run.

        Args:
            outcome: how the run ends with this change; None if it goes on.
        """
        state = outcome or derived_state(self.run)
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

    def instruct(self, command: str, reason: str) -> None:
        """Tell the board that has the slot to stop or pause the current attempt."""
        if self.run.board is not None:
            self.change_step(asked=self.now)
            self.effect(Instruct(self.run.board.id, self.step.instance, self.step.attempt, command, reason))

    def queue(self, trigger: str | None, waits_for: StepReason = NO_SLOT) -> None:
        """Let the run wait for a slot; `trigger` brings the current step to `waiting` if it is not.

        What it waits for is told with that; who waits already is told by `StillWaiting`.
        """
        self.change_run(queued=True, waiting_since=self.now)
        if trigger is not None:
            self.move(trigger, reason=waits_for)
        self.effect(SeekSlot())

    def dispatch(self) -> StepReason | None:
        """Send the next attempt of the current, waiting step to the board whose slot the run has.

        Returns why it was not sent: its properties cannot be had, and it can only fail.
        """
        board, attempt = self.run.board, self.step.next_attempt
        if board is None:
            raise IllegalTransition("run", "without a board", "dispatch")
        try:
            assigned_properties(self.run)
        except BadProperties as error:
            self.change_step(attempt=attempt, seq=0, board=None)
            return StepReason("property", _shortened(str(error)))
        sent = StepReason("sent", f"Sent to board '{board.name}', which has not begun it yet")
        self.change_step(
            attempt=attempt,
            seq=0,
            board=board,
            dispatched=self.now,
            accepted=None,
            asked=None,
            unanswered=0,
            reason=sent,
        )
        self.effect(Dispatch(board.id, self.step.instance, attempt))
        return None

    def begun(self) -> None:
        """The board runs the current attempt: whatever it says next, the step was `running` before."""
        if self.step.state is StepState.WAITING:
            self.change_run(started=self.run.started or self.now)
            keep = self.step.reason if self.run.wanted.ends else None
            accepted = self.step.accepted or self.now
            self.move("begin", reason=keep, started=self.step.started or self.now, accepted=accepted)

    def end_attempt(self, *, anew: bool) -> None:
        """Another attempt is to follow the current one; `anew`: it starts from the beginning."""
        if anew:
            self.change_step(checkpoint=None, checkpointed=None, workty_state=None)
        self.change_step(attempt=self.step.attempt + 1, seq=0, board=None, dispatched=None, accepted=None, asked=None)

    def end_step(self, trigger: str, **fields: Any) -> None:
        """Let the current step end by `trigger`. Whoever calls this announces it, with what becomes of the run."""
        state = StepState(step_life_cycle().after(self.step.state.value, trigger))
        self.change_step(state=state, dispatched=None, retry_at=None, finished=self.now, **fields)

    def end(self, trigger: str, **fields: Any) -> None:
        """End the run with the current step, by `stop` or `fail`."""
        self.end_step(trigger, **fields)
        self.announce(self.step, RunState(self.step.state.value))
        self.change_run(queued=False, waiting_since=None)
        self.give_back_slot()

    def pause(self) -> None:
        """Pause at the current step, which is with no board any more."""
        self.change_run(wanted=Wanted.PAUSE, queued=False, waiting_since=None)
        self.move("pause", reason=None, dispatched=None, accepted=None, asked=None, retry_at=None)
        self.give_back_slot()

    def give_back_slot(self) -> None:
        """Release the slot, if the run has one."""
        if self.run.board is not None:
            self.effect(ReleaseSlot(self.run.board.id))
            self.change_run(board=None)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."
