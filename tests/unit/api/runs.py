"""Runs in the database of a server, as the run engine would have left them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bson import ObjectId

from orchestrator.runs.decision import Decision
from orchestrator.runs.logs import RunLogs
from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import BoardRef, Run, Step, StepState
from workties.messages import Log, LogLine, Program

BOARD = BoardRef("7e" * 12, "kitchen")
BOARD_TIME = "2026-01-02T03:04:01.000Z"


def step(name: str, state: StepState = StepState.INITIAL, **more: Any) -> Step:
    program = Program("6e" * 12, "with-delay", "1", "python", "main.py")
    return Step(instance=str(ObjectId()), name=name, desc="", program=program, package=None, state=state, **more)


def stored(world: Any, client: Any, *steps: Step, **more: Any) -> str:
    """A run of `steps` in the database, a second after the one before."""
    world.clock.pass_time(seconds=1)
    run = Run(
        id=str(ObjectId()),
        workflow=more.pop("workflow", str(ObjectId())),
        workflow_name="nightly",
        workflow_desc="backup",
        account=world.account_id(client),
        number=more.pop("number", 1),
        steps=steps or (step("first"),),
        created=world.clock(),
        **more,
    )
    assert RunStore(world.db).insert(Decision(run), "nobody", world.clock()) is not None
    return run.id


class Written:
    """A run of two steps, `copy` and `send`, and what they wrote."""

    def __init__(self, world: Any, client: Any) -> None:
        self._world = world
        self.copy, self.send = (step(name, StepState.RUNNING, attempt=1, board=BOARD) for name in ("copy", "send"))
        self.run = stored(world, client, self.copy, self.send)
        self._seq = 0

    def add(self, wrote: Step, *texts: str, attempt: int = 1, dropped: int = 0) -> None:
        """A message, a second after the one before."""
        self._world.clock.pass_time(seconds=1)
        self._seq += 1
        message = Log(
            id="m",
            at=BOARD_TIME,
            board=BOARD.id,
            run=self.run,
            instance=wrote.instance,
            attempt=attempt,
            seq=self._seq,
            lines=tuple(LogLine(BOARD_TIME, "stdout", text) for text in texts),
            dropped=dropped,
        )
        origin, now = RunStore(self._world.db).origins([self.run])[self.run], self._world.clock()
        RunLogs(self._world.db).add(origin, [message], now, now + timedelta(days=30))
