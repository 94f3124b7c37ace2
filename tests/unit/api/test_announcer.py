"""Live messages about runs are, field by field, those of the live API contract, sections 4 and 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from api.live.announcer import Announcer
from orchestrator.live import ProgressMade, StepChange
from orchestrator.runs.documents import step_view
from orchestrator.runs.vocabulary import BoardRef, Step, StepReason, StepState
from workties.messages import Program, Property

ACCOUNT, WORKFLOW, RUN, INSTANCE, WORKTY, BOARD = (f"{number:024x}" for number in range(1, 7))
STEP = Step(
    instance=INSTANCE,
    name="copy",
    desc="copies",
    program=Program(WORKTY, "with-delay", "1", "python", "main.py"),
    package=None,
    properties=(Property("7" * 24, "delay", 1.5),),
)


class Ear:
    """Keeps what is emitted."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Mapping[str, Any], str]] = []

    def emit(self, event: str, payload: Mapping[str, Any], namespace: str) -> None:
        self.heard.append((event, payload, namespace))


@pytest.fixture
def ear() -> Ear:
    return Ear()


def change(step: Step, board: BoardRef | None = None) -> StepChange:
    return StepChange(
        account=ACCOUNT,
        workflow=WORKFLOW,
        name="nightly",
        desc="every night",
        run=RUN,
        seq=3,
        run_state="running",
        started=None,
        finished=None,
        step=step_view(step, board),
        completed=False,
    )


def test_a_step_that_waits_says_for_what(ear: Ear) -> None:
    reason = StepReason("no-slot", "Waits for a free slot")
    waiting = replace(STEP, state=StepState.WAITING, reason=reason)
    Announcer(ear.emit, lambda change: None).step_changed(replace(change(waiting), run_state="waiting", seq=1))
    told: dict[str, Any] = {"code": "no-slot", "message": "Waits for a free slot", "returnCode": None, "lastOutput": []}
    assert ear.heard == [
        (
            "sv.workflow.changed",
            {
                "err": None,
                "workflow": {
                    "id": WORKFLOW,
                    "name": "nightly",
                    "desc": "every night",
                    "run": {
                        "id": RUN,
                        "state": "waiting",
                        "seq": 1,
                        "reason": told,
                        "started": None,
                        "finished": None,
                    },
                    "worktyInstance": {
                        "id": INSTANCE,
                        "worktyId": WORKTY,
                        "name": "copy",
                        "desc": "copies",
                        "state": "waiting",
                        "propertiesIds": [{"id": "7" * 24, "name": "delay", "value": 1.5}],
                        "attempt": 0,
                        "progress": None,
                        "worktyState": None,
                        "checkpointed": None,
                        "reason": told,
                        "device": None,
                    },
                },
            },
            f"/{ACCOUNT}_workflows",
        )
    ]


def test_a_state_of_the_program_is_named_by_the_message_that_tells_it_and_by_no_other(ear: Ear) -> None:
    announcer = Announcer(ear.emit, lambda change: None)
    made = ProgressMade(ACCOUNT, WORKFLOW, RUN, 3, INSTANCE, "running", 1, 0.5, "half")
    announcer.progressed(made)
    announcer.progressed(replace(made, message="", workty_state="copying", checkpoint=True))
    plain, entered = (payload["worktyInstance"] for _, payload, _ in ear.heard)
    assert plain == {"id": INSTANCE, "state": "running", "attempt": 1, "progress": 0.5, "message": "half"}
    assert entered == plain | {"message": "", "worktyState": "copying", "checkpoint": True}


def test_a_step_that_runs_says_where_since_when_and_how_far(ear: Ear) -> None:
    running = replace(STEP, state=StepState.RUNNING, attempt=2, progress=0.25)
    began = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    Announcer(ear.emit, lambda change: None).step_changed(
        replace(change(running, BoardRef(BOARD, "attic")), started=began)
    )
    [(_, payload, _)] = ear.heard
    assert payload["workflow"]["run"] == {
        "id": RUN,
        "state": "running",
        "seq": 3,
        "reason": None,
        "started": "2026-01-02T03:04:05.678Z",
        "finished": None,
    }
    told = payload["workflow"]["worktyInstance"]
    assert (told["state"], told["attempt"], told["progress"]) == ("running", 2, 0.25)
    assert told["device"] == {"id": BOARD, "name": "attic"}
    assert "workflowCompleted" not in payload["workflow"]


def test_a_failure_says_how_the_program_ended(ear: Ear) -> None:
    reason = StepReason("exit", "the program ended with exit code 3", 3, ("almost", "there"))
    failed = replace(STEP, state=StepState.FAILED, attempt=1, reason=reason)
    Announcer(ear.emit, lambda change: None).step_changed(replace(change(failed), run_state="failed"))
    [(_, payload, _)] = ear.heard
    told = {
        "code": "exit",
        "message": "the program ended with exit code 3",
        "returnCode": 3,
        "lastOutput": ["almost", "there"],
    }
    assert payload["workflow"]["worktyInstance"]["reason"] == told
    assert payload["workflow"]["run"]["reason"] == told


def test_the_last_message_of_a_completed_run_says_so(ear: Ear) -> None:
    completed = replace(STEP, state=StepState.COMPLETED, attempt=1, progress=1.0)
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    last = replace(change(completed), run_state="completed", started=moment, finished=moment, completed=True)
    Announcer(ear.emit, lambda change: None).step_changed(last)
    [(_, payload, _)] = ear.heard
    assert payload["workflow"]["workflowCompleted"] is True
    assert payload["workflow"]["run"]["finished"] == "2026-01-02T00:00:00.000Z"
    assert payload["workflow"]["run"]["reason"] is None


def test_progress_names_run_instance_and_attempt_and_nothing_more(ear: Ear) -> None:
    Announcer(ear.emit, lambda change: None).progressed(
        ProgressMade(
            account=ACCOUNT,
            workflow=WORKFLOW,
            run=RUN,
            seq=4,
            instance=INSTANCE,
            state="running",
            attempt=2,
            progress=0.5,
            message="half",
        )
    )
    assert ear.heard == [
        (
            "sv.workflow.progress",
            {
                "workflow": {"id": WORKFLOW},
                "run": {"id": RUN, "seq": 4},
                "worktyInstance": {
                    "id": INSTANCE,
                    "state": "running",
                    "attempt": 2,
                    "progress": 0.5,
                    "message": "half",
                },
            },
            f"/{ACCOUNT}_workflows",
        )
    ]
