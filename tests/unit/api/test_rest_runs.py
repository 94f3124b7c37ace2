"""The history of runs over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.runs.store import RunStore
from orchestrator.runs.turn import Turn
from orchestrator.runs.vocabulary import RunState, StepReason, StepState
from tests.unit.api.runs import BOARD, step, stored

UNKNOWN = "5f" * 12


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
        "changes": [],
        "logTail": [],
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


def test_a_run_tells_its_changes_of_state_with_attempts_and_boards(world: Any, ann: Any) -> None:
    copy = step("copy", StepState.WAITING)
    run = stored(world, ann, copy)
    engine_store = RunStore(world.db)
    found = engine_store.load(run)
    assert found is not None
    turn = Turn(found.run, world.clock())
    turn.change_run(board=BOARD)
    turn.dispatch()
    turn.begun()
    turn.end("fail", reason=StepReason("exit", "The program ended with exit code 3", 3))
    assert engine_store.save(found, turn.decision(), "token", world.clock()) is not None
    told = ann.get(f"/runs/{run}").get_json()["changes"]
    about = {"instance": copy.instance, "attempt": 1, "at": "2026-01-02T03:04:06.000Z"}
    board = {"_id": BOARD.id, "name": "kitchen"}
    assert told == [
        {"seq": 1, "runState": "running", "state": "running", "board": board, **about},
        {
            "seq": 2, "runState": "failed", "state": "failed", "board": board, **about,
            "reason": {"code": "exit", "message": "The program ended with exit code 3", "returnCode": 3},
        },
    ]  # fmt: skip


def test_a_waiting_run_says_what_it_waits_for_in_lists_too(world: Any, ann: Any) -> None:
    reason = StepReason("no-board", "No connected and enabled board has what it needs: python")
    run = stored(world, ann, step("first", StepState.WAITING, reason=reason))
    waits = {"code": "no-board", "message": reason.message}
    assert ann.get(f"/runs/{run}").get_json()["waitsFor"] == waits
    [listed] = ann.get("/runs").get_json()
    assert listed["waitsFor"] == waits
    assert "steps" not in listed


def test_a_run_is_explained_to_its_owner_and_to_admins(world: Any, ann: Any, bob: Any) -> None:
    waits = step("first", StepState.WAITING, reason=StepReason("no-board", "There is none"))
    run = stored(world, ann, waits, queued=True, waiting_since=world.clock())
    world.clock.pass_time(seconds=90)
    told = ann.get(f"/runs/{run}/explanation").get_json()
    assert told.pop("workflowId")
    assert told == {
        "_id": run,
        "number": 1,
        "name": "nightly",
        "state": "waiting",
        "missing": 0,
        "story": [{"at": "2026-01-02T03:04:06.000Z", "text": "Run 1 was asked for: 1 step"}],
        "now": "step 'first' waits for 1 min 31 s for a slot. There is no board at all. An admin adds one: "
        "workty board add NAME",
        "help": "An admin can enable, connect or label a board, or add one: workty board add NAME",
    }
    assert world.admin.get(f"/runs/{run}/explanation").status_code == 200
    for client, path in ((bob, run), (ann, UNKNOWN), (ann, "malformed")):
        answer = client.get(f"/runs/{path}/explanation")
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, 2)


def test_a_run_whose_workflow_was_removed_is_not_to_be_run_again(world: Any, ann: Any) -> None:
    workflow = ann.post("/workflows", {"name": "nightly"}).get_json()["_id"]
    ended = {"state": RunState.STOPPED, "finished": world.clock(), "workflow": workflow}
    run = stored(world, ann, step("copy", StepState.STOPPED), **ended)
    helps = []
    for _ in range(2):
        helps.append(ann.get(f"/runs/{run}/explanation").get_json()["help"])
        ann.delete(f"/workflows/{workflow}")
    assert helps == [f"Run it again: workty run {workflow}", "Its workflow was removed"]


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
