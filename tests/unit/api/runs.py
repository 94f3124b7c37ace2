"""Runs in the database of a server, as the run engine would have left them."""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import Decision, Run, Step, StepState
from workties.messages import Program


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
