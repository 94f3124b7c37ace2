"""The history of runs over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import BoardRef, Decision, Run, RunState, Step, StepReason, StepState
from workties.messages import Program

UNKNOWN = "5f" * 12
BOARD = BoardRef("7e" * 12, "kitchen")


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


def test_a_run_tells_how_each_step_went(world: Any, ann: Any) -> None:
    now = world.clock()
    reason = StepReason("exit", "The program ended with exit code 3", 3, ("one", "two"))
    steps = (
        step("copy", StepState.COMPLETED, attempt=2, board=BOARD, started=now, finished=now, progress=1.0, output={}),
        step("send", StepState.FAILED, attempt=1, board=BOARD, started=now, finished=now, reason=reason),
        step("tidy"),
    )
    run = stored(world, ann, *steps, current=1, state=RunState.FAILED, started=now, finished=now, losses=1)
    shown = ann.get(f"/runs/{run}").get_json()
    told = shown.pop("steps")
    moment, program = "2026-01-02T03:04:05.000Z", {"worktyId": "6e" * 12, "worktyName": "with-delay"}
    board = {"_id": BOARD.id, "name": "kitchen"}
    assert shown == {
        "_id": run,
        "workflowId": shown["workflowId"],
        "accountId": world.account_id(ann),
        "number": 1,
        "name": "nightly",
        "desc": "backup",
        "state": "failed",
        "losses": 1,
        "created": "2026-01-02T03:04:06.000Z",
        "started": moment,
        "finished": moment,
    }
    assert told == [
        {
            "_id": steps[0].instance,
            "name": "copy",
            **program,
            "state": "completed",
            "attempt": 2,
            "board": board,
            "started": moment,
            "finished": moment,
            "progress": 1.0,
            "output": {},
        },
        {
            "_id": steps[1].instance,
            "name": "send",
            **program,
            "state": "failed",
            "attempt": 1,
            "board": board,
            "started": moment,
            "finished": moment,
            "reason": {"code": "exit", "message": reason.message, "returnCode": 3, "lastOutput": ["one", "two"]},
        },
        {"_id": steps[2].instance, "name": "tidy", **program, "state": "initial", "attempt": 0},
    ]
    assert [(entry["name"], entry["lines"]) for entry in ann.get(f"/runs/{run}/log").get_json()] == [
        ("copy", []),
        ("send", ["one", "two"]),
        ("tidy", []),
    ]


def test_a_waiting_run_says_what_it_waits_for_in_lists_too(world: Any, ann: Any) -> None:
    reason = StepReason("no-board", "No connected and enabled board has what it needs: python")
    run = stored(world, ann, step("first", StepState.WAITING, reason=reason))
    waits = {"code": "no-board", "message": reason.message}
    assert ann.get(f"/runs/{run}").get_json()["waitsFor"] == waits
    [listed] = ann.get("/runs").get_json()
    assert listed["waitsFor"] == waits
    assert "steps" not in listed


def test_the_history_is_newest_first_and_ones_own_except_for_admins(world: Any, ann: Any, bob: Any) -> None:
    first, second, foreign = stored(world, ann), stored(world, ann), stored(world, bob)
    assert [run["_id"] for run in ann.get("/runs").get_json()] == [second, first]
    assert [run["_id"] for run in world.admin.get("/runs").get_json()] == [foreign, second, first]
    assert ann.get(f"/runs/{first}").status_code == 200
    assert world.admin.get(f"/runs/{foreign}").status_code == 200
    for path in ("", "/log"):
        answers = [ann.get(f"/runs/{run}{path}") for run in (foreign, UNKNOWN, "malformed")]
        assert {(answer.status_code, answer.get_json()["error"]["code"]) for answer in answers} == {(404, 2)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [4, 3, 2, 1]),
        ({"sort": "number"}, [1, 2, 3, 4]),
        ({"sort": "-state,number"}, [1, 2, 4, 3]),
        ({"state": "completed"}, [3]),
        ({"number": "2"}, [2]),
        ({"per_page": "3", "page_num": "2"}, [1]),
        ({"workflowId": UNKNOWN}, []),
        ({"workflowId": "4d" * 12}, [4]),
        ({"created": "2026-01-02T03:04:07Z"}, [2]),
    ],
)
def test_runs_are_listed_as_everything_else(world: Any, ann: Any, query: dict[str, str], expected: list[int]) -> None:
    for number, state in enumerate(("waiting", "waiting", "completed", "failed"), start=1):
        workflow = {"workflow": "4d" * 12} if number == 4 else {}
        stored(world, ann, number=number, state=RunState(state), **workflow)
    assert [run["number"] for run in ann.get("/runs", **query).get_json()] == expected


@pytest.mark.parametrize("name", ["name", "steps", "outbox", "drainer", "board"])
def test_runs_are_not_filtered_by_what_is_nobodys_affair(ann: Any, name: str) -> None:
    assert ann.get("/runs", **{name: "x"}).status_code == 400


def test_fields_of_a_run_are_chosen(world: Any, ann: Any) -> None:
    run = stored(world, ann)
    assert ann.get(f"/runs/{run}", fields="state").get_json() == {"_id": run, "state": "waiting"}
    assert "steps" not in ann.get(f"/runs/{run}", fields="-steps").get_json()


def test_a_list_of_runs_is_one_query(world: Any, ann: Any) -> None:
    for _ in range(5):
        stored(world, ann)
    world.settle()
    world.operations.clear()
    assert len(ann.get("/runs").get_json()) == 5
    assert [collection for collection, _ in world.operations].count("runs") == 1


def test_counts_of_runs_by_state_name_every_state(world: Any, ann: Any) -> None:
    stored(world, ann, number=1)
    stored(world, ann, replace(step("first"), state=StepState.RUNNING), number=2, state=RunState.RUNNING)
    counts = world.services.history.states()
    assert (counts["waiting"], counts["running"], counts["failed"]) == (1, 1, 0)
    assert set(counts) == {state.value for state in RunState}
