"""Runs over the live API (live API contract, sections 4 to 6): commands in every state, and what is told of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.api.live_ears import Ears, ears
from tests.unit.orchestrator.runs.world import BoardModel
from workties.messages import Completed, Progress

UNKNOWN = "5f" * 12
CHANGED = "sv.workflow.changed"
CONTEXT = "workflows"


@pytest.fixture
def world(engine_world: Any) -> Any:
    return engine_world


@pytest.fixture
def heard(world: Any, live_url: str, ann: Any, bob: Any) -> Iterator[Ears]:
    with ears(world, live_url, CONTEXT, ann, bob) as found:
        yield found


def workflow_of(world: Any, client: Any, steps: int = 2) -> str:
    workflow = str(client.post("/workflows", {"name": "nightly", "desc": "every night"}).get_json()["_id"])
    for number in range(steps):
        body = {"worktyId": world.template("with-delay"), "name": f"step {number}", "desc": "waits"}
        assert client.post(f"/workflows/{workflow}/worktiesInstances", body).status_code == 201
    return workflow


@pytest.fixture
def workflow(world: Any, ann: Any) -> str:
    return workflow_of(world, ann)


def asked(heard: Ears, command: str, workflow: str, **more: Any) -> tuple[list[Any], Any]:
    """The changes of state that a command makes, and its answer; both are told to both sockets of the owner."""
    acknowledged = heard.one.ask(
        CONTEXT, f"sv.workflow.{command}", {"workflow": {"id": workflow}, "requestId": 7} | more
    )
    assert acknowledged == {"err": None, "requestId": 7}
    messages = heard.heard(heard.one)
    assert heard.heard(heard.other) == messages
    assert heard.heard(heard.stranger) == heard.heard(heard.admin) == []
    *changes, answer = messages
    assert (answer["err"], answer["requestId"]) == (None, 7)
    assert not any("requestId" in change for change in changes)
    return [change["workflow"] for change in changes], answer["workflow"]


def refreshed(heard: Ears, workflow: str) -> Any:
    [told] = heard.answered("sv.workflow.refresh", {"workflow": {"id": workflow}})
    return told["workflow"]


# --- the table of states and commands


def _waiting(world: Any, workflow: Any) -> None:
    world.runs.start(workflow)


def _sent(world: Any, workflow: Any) -> None:
    world.engine.board()
    world.runs.start(workflow)


def _running(world: Any, workflow: Any) -> BoardModel:
    board: BoardModel = world.engine.board()
    world.runs.start(workflow)
    world.engine.drive(board, "state")
    return board


def _pausing(world: Any, workflow: Any) -> BoardModel:
    board = _running(world, workflow)
    world.runs.pause(workflow)
    return board


def _paused(world: Any, workflow: Any) -> None:
    world.engine.obey(_pausing(world, workflow))
    world.engine.deliver_all()


def _stopping(world: Any, workflow: Any) -> BoardModel:
    board = _running(world, workflow)
    world.runs.stop(workflow, "enough")
    return board


def _stopped(world: Any, workflow: Any) -> None:
    world.engine.obey(_stopping(world, workflow))
    world.engine.deliver_all()


def _failed(world: Any, workflow: Any) -> None:
    world.engine.board()
    world.runs.start(workflow)
    world.engine.drive(next(iter(world.engine.boards.values())), "state", "failed")


def _completed(world: Any, workflow: Any) -> None:
    board = world.engine.board()
    world.runs.start(workflow)
    while not world.engine.run(workflow).state.final:
        world.engine.drive(board, "state", "completed")


REACH: dict[str, Callable[[Any, Any], object]] = {
    "none": lambda world, workflow: None,
    "waiting": _waiting,
    "sent": _sent,
    "running": _running,
    "pausing": _pausing,
    "paused": _paused,
    "stopping": _stopping,
    "stopped": _stopped,
    "failed": _failed,
    "completed": _completed,
}

#: By the run's state: what run, resume, pause and stop make of it: a new run (`new`), another state, or an error.
TABLE: dict[str, tuple[str | int | None, ...]] = {
    "none": ("new", 9, None, None),
    "completed": ("new", 9, None, None),
    "failed": ("new", 9, None, None),
    "stopped": ("new", 9, None, None),
    "waiting": (None, 9, "paused", "stopped"),
    "sent": (None, 9, "pausing", "stopping"),
    "running": (None, 9, "pausing", "stopping"),
    "pausing": ("running", "running", None, "stopping"),
    "paused": ("waiting", "waiting", None, "stopped"),
    "stopping": (8, 9, 8, None),
}
CELLS = [
    pytest.param((state, command, outcome), id=f"{command}-{state}")
    for state, row in TABLE.items()
    for command, outcome in zip(("run", "resume", "pause", "stop"), row, strict=True)
]


@pytest.mark.parametrize("cell", CELLS)
def test_a_command_does_in_each_state_what_the_table_says(
    world: Any, workflow: str, heard: Ears, cell: tuple[str, str, str | int | None]
) -> None:
    state, command, outcome = cell
    key = world.db["workflows"].find_one({})["_id"]
    REACH[state](world, key)
    for client in (heard.one, heard.other):
        heard.heard(client)
    before = refreshed(heard, workflow)
    if isinstance(outcome, int):
        refused = heard.refused(f"sv.workflow.{command}", {"workflow": {"id": workflow}})
        assert refused == (500, "UnexpectedError", outcome)
        assert refreshed(heard, workflow) == before
        return
    changes, answer = asked(heard, command, workflow)
    assert answer == refreshed(heard, workflow)
    if outcome is None:
        assert (changes, answer) == ([], before)
    elif outcome == "new":
        assert answer["run"]["id"] != (before["run"] or {"id": None})["id"]
        assert [change["run"]["seq"] for change in changes] == list(range(1, len(changes) + 1))
        assert answer["run"]["state"] == "waiting"
        assert [instance["state"] for instance in answer["worktiesInstances"]] == ["waiting", "initial"]
    else:
        assert answer["run"]["id"] == before["run"]["id"]
        assert [change["run"]["seq"] for change in changes] == list(
            range(before["run"]["seq"] + 1, answer["run"]["seq"] + 1)
        )
        assert changes[-1]["run"]["state"] == answer["run"]["state"] == outcome


def test_an_empty_workflow_does_not_run(world: Any, ann: Any, heard: Ears) -> None:
    empty = workflow_of(world, ann, 0)
    heard.heard(heard.one)
    heard.heard(heard.other)
    assert heard.refused("sv.workflow.run", {"workflow": {"id": empty}}) == (500, "UnexpectedError", 20)
    assert heard.refused("sv.workflow.resume", {"workflow": {"id": empty}}) == (500, "UnexpectedError", 9)
    assert refreshed(heard, empty)["run"] is None


def test_an_admin_commands_and_both_are_told_how_the_workflow_stands(workflow: str, heard: Ears) -> None:
    for client in (heard.one, heard.other):
        heard.heard(client)
    told = heard.admin.ask(CONTEXT, "sv.workflow.run", {"workflow": {"id": workflow}, "requestId": "r"})
    assert told == {"err": None, "requestId": "r"}
    [answer] = heard.heard(heard.admin)
    *changes, last = heard.heard(heard.one)
    assert last == answer
    assert (answer["requestId"], answer["workflow"]["run"]["state"]) == ("r", "waiting")
    assert [change["workflow"]["run"]["seq"] for change in changes] == [1]
    assert heard.heard(heard.stranger) == []


def test_a_command_over_rest_is_told_without_a_name(ann: Any, workflow: str, heard: Ears) -> None:
    for client in (heard.one, heard.other):
        heard.heard(client)
    assert ann.put(f"/workflows/{workflow}/running").status_code == 200
    change, answer = heard.heard(heard.one)
    assert change["workflow"]["worktyInstance"]["state"] == "waiting"
    assert "worktiesInstances" not in change["workflow"]
    assert [found["state"] for found in answer["workflow"]["worktiesInstances"]] == ["waiting", "initial"]
    assert "requestId" not in answer


# --- what is told of a run


def test_each_change_of_a_run_is_told_once_and_its_completion_last(world: Any, workflow: str, heard: Ears) -> None:
    board = world.engine.board()
    heard.heard(heard.one)
    changes, _ = asked(heard, "run", workflow)
    while board.assignments:
        world.engine.drive(board, "state", "progress", "completed")
    changes += [message["workflow"] for message in heard.heard(heard.one)]
    assert [change["run"]["seq"] for change in changes] == list(range(1, 7))
    states = [change["worktyInstance"]["state"] for change in changes]
    assert states == ["waiting", "running", "completed"] * 2
    assert [change.get("workflowCompleted") for change in changes] == [None] * 5 + [True]
    assert set(changes[0]) == {"id", "name", "desc", "run", "worktyInstance"}
    progress = heard.one.taken(CONTEXT, "sv.workflow.progress")
    assert [message["worktyInstance"]["progress"] for message in progress] == [0.5, 0.5]


def agree(heard: Ears, workflow: str, change: Any) -> None:
    """A refresh says what the last change said.

    While an instance waits it may have been sent meanwhile, and wait for something else: no changes of state.
    """
    now = refreshed(heard, workflow)
    assert {name: now[name] for name in ("id", "name", "desc")} == {
        name: change[name] for name in ("id", "name", "desc")
    }
    instance, run, told = change["worktyInstance"], change["run"], now["run"]
    [found] = [known for known in now["worktiesInstances"] if known["id"] == instance["id"]]
    if instance["state"] == "waiting":
        newer = ("reason", *(("attempt", "device") if found["attempt"] > instance["attempt"] else ()))
        instance, found = ({k: v for k, v in about.items() if k not in newer} for about in (instance, found))
        run, told = ({k: v for k, v in about.items() if k != "reason"} for about in (run, told))
    assert (found, told) == (instance, run)


def test_a_refresh_and_the_messages_about_changes_say_the_same(world: Any, workflow: str, heard: Ears) -> None:
    engine, key = world.engine, world.db["workflows"].find_one({})["_id"]
    first = engine.board()
    acts: list[Callable[[], object]] = [
        lambda: world.runs.start(key),
        lambda: engine.drive(first, "state"),
        lambda: (engine.say(first, engine.key(key), Progress, progress=0.5), engine.deliver_all()),
        lambda: world.runs.pause(key),
        lambda: (engine.obey(first), engine.deliver_all()),
        lambda: world.runs.resume(key),
        lambda: engine.drive(first, "state", "completed"),
        lambda: engine.drive(first, "state"),
        lambda: (engine.sweep(60), engine.sweep(60)),
        lambda: world.runs.stop(key, "enough"),
        lambda: (engine.board(), world.runs.start(key)),
        lambda: engine.drive(list(engine.boards.values())[-1], "state", "failed"),
    ]
    heard.heard(heard.one)
    for act in acts:
        act()
        changes = [message["workflow"] for message in heard.heard(heard.one)]
        heard.heard(heard.other)
        if changes:
            agree(heard, workflow, changes[-1])
    last = refreshed(heard, workflow)
    assert (last["run"]["state"], last["worktiesInstances"][0]["state"]) == ("failed", "failed")
    assert last["worktiesInstances"][0]["reason"]["code"] == "exit"


def test_an_instance_without_a_name_is_told_alike_by_refresh_and_changes(world: Any, ann: Any, heard: Ears) -> None:
    workflow = workflow_of(world, ann, 0)
    ann.post(f"/workflows/{workflow}/worktiesInstances", {"worktyId": world.template("with-delay")})
    heard.heard(heard.one)
    heard.heard(heard.other)
    changes, _ = asked(heard, "run", workflow)
    agree(heard, workflow, changes[-1])


def test_a_refresh_shows_where_and_how_each_instance_of_an_ended_run_ended(
    world: Any, workflow: str, heard: Ears
) -> None:
    board = world.engine.board()
    asked_before = refreshed(heard, workflow)
    assert asked_before["run"] is None
    world.runs.start(world.db["workflows"].find_one({})["_id"])
    world.engine.drive(board, "state", "completed")
    world.engine.drive(board, "state", "failed")
    for client in (heard.one, heard.other):
        heard.heard(client)
    told = refreshed(heard, workflow)
    assert (told["run"]["state"], told["run"]["seq"]) == ("failed", 6)
    assert None not in {told["run"]["started"], told["run"]["finished"]}
    first, second = told["worktiesInstances"]
    device = {"id": board.id, "name": "board-0"}
    assert [(i["state"], i["attempt"], i["device"]) for i in (first, second)] == [
        ("completed", 1, device),
        ("failed", 1, device),
    ]
    assert (first["progress"], first["reason"]) == (1.0, None)
    assert second["reason"] == {
        "code": "exit",
        "message": "Exit code 3",
        "returnCode": 3,
        "lastOutput": ["boom"],
    }
    assert told["run"]["reason"] == second["reason"]


def test_without_a_board_a_run_waits_and_says_for_what(world: Any, workflow: str, heard: Ears) -> None:
    _, answer = asked(heard, "run", workflow)
    instance = answer["worktiesInstances"][0]
    assert (answer["run"]["state"], instance["state"]) == ("waiting", "waiting")
    assert instance["reason"] == answer["run"]["reason"]
    assert (instance["reason"]["code"], instance["device"]) == ("no-board", None)
    board = world.engine.board()
    sent = refreshed(heard, workflow)["worktiesInstances"][0]
    assert (sent["reason"]["code"], sent["attempt"]) == ("sent", 1)
    assert sent["device"] == {"id": board.id, "name": "board-0"}


def test_a_stop_leaves_what_is_completed_and_the_next_run_begins_anew(world: Any, workflow: str, heard: Ears) -> None:
    board = world.engine.board()
    asked(heard, "run", workflow)
    world.engine.drive(board, "state", "completed")
    world.engine.drive(board, "state")
    for client in (heard.one, heard.other):
        heard.heard(client)
    _, answer = asked(heard, "stop", workflow)
    assert answer["run"]["state"] == "stopping"
    world.engine.obey(board)
    world.engine.deliver_all()
    stopped = heard.heard(heard.one)[-1]["workflow"]
    assert heard.heard(heard.other)[-1]["workflow"] == stopped
    assert (stopped["run"]["state"], stopped["worktyInstance"]["state"]) == ("stopped", "stopped")
    states = [instance["state"] for instance in refreshed(heard, workflow)["worktiesInstances"]]
    assert states == ["completed", "stopped"]
    changes, answer = asked(heard, "run", workflow)
    assert [change["worktyInstance"]["state"] for change in changes] == ["initial", "initial", "waiting"]
    assert {change["run"]["id"] for change in changes} == {answer["run"]["id"]} != {stopped["run"]["id"]}


def test_what_is_paused_or_lost_is_on_no_board(world: Any, workflow: str, heard: Ears) -> None:
    board, key = world.engine.board(), world.db["workflows"].find_one({})["_id"]
    asked(heard, "run", workflow)
    world.engine.drive(board, "state")
    world.runs.pause(key)
    world.engine.obey(board)
    world.engine.deliver_all()
    world.runs.resume(key)
    world.engine.drive(board, "state")
    world.engine.sweep(60)
    world.engine.sweep(60)
    told = [message["workflow"]["worktyInstance"] for message in heard.heard(heard.one)]
    device = {"id": board.id, "name": "board-0"}
    assert [(found["state"], found["device"]) for found in told] == [
        ("running", device),
        ("running", device),  # the run is pausing
        ("paused", None),
        ("waiting", None),
        ("running", device),
        ("waiting", None),
    ]
    assert told[-1]["reason"]["code"] == "board-lost"


# --- changes during a run


def test_an_instance_that_a_run_has_still_to_end_is_not_deleted(
    world: Any, ann: Any, workflow: str, heard: Ears
) -> None:
    board = world.engine.board()
    world.runs.start(world.db["workflows"].find_one({})["_id"])
    for client in (heard.one, heard.other):
        heard.heard(client)
    first, second = (instance["id"] for instance in refreshed(heard, workflow)["worktiesInstances"])

    def about(instance: str) -> dict[str, Any]:
        return {"workflow": {"id": workflow, "worktyInstance": {"id": instance}}}

    event = "sv.workflow.del.workty.instance"
    for instance in (first, second):
        assert heard.refused(event, about(instance)) == (500, "UnexpectedError", 8)
    world.engine.drive(board, "state", "completed")
    for client in (heard.one, heard.other):
        heard.heard(client)
    assert heard.refused(event, about(second)) == (500, "UnexpectedError", 8)
    told = heard.asked(event, about(first))["workflow"]
    assert [instance["id"] for instance in told["worktiesInstances"]] == [second]
    world.engine.drive(board, "state", "completed")
    for client in (heard.one, heard.other):
        heard.heard(client)
    assert heard.asked(event, about(second))["workflow"]["worktiesInstances"] == []


def test_an_instance_added_during_a_run_is_not_part_of_it(world: Any, workflow: str, heard: Ears) -> None:
    board = world.engine.board()
    asked(heard, "run", workflow)
    about = {"id": workflow, "worktyInstance": {"desc": "later"}, "position_type": "first"}
    payload = {"workflow": about, "workty": {"id": world.template("with-delay")}}
    told = heard.asked("sv.workflow.add.workty.instance", payload)["workflow"]
    assert [instance["state"] for instance in told["worktiesInstances"]] == ["initial", "waiting", "initial"]
    assert told["run"]["state"] == "waiting"
    while board.assignments:
        world.engine.drive(board, "state", "completed")
    changes = [message["workflow"] for message in heard.heard(heard.one)]
    assert changes[-1]["workflowCompleted"]
    assert told["worktyInstance"]["id"] not in {change["worktyInstance"]["id"] for change in changes}


def test_a_deleted_workflow_is_stopped_first(world: Any, workflow: str, heard: Ears) -> None:
    asked(heard, "run", workflow)
    told = heard.one.ask(CONTEXT, "sv.workflow.del", {"workflow": {"id": workflow}})
    assert told["err"] is None
    stopped, deleted = heard.heard(heard.one)
    assert stopped["workflow"]["worktyInstance"]["state"] == "stopped"
    assert deleted == {"err": None, "workflow": {"id": workflow, "deleted": True}}


def test_a_new_name_is_in_the_messages_of_the_run(world: Any, workflow: str, heard: Ears) -> None:
    board = world.engine.board()
    asked(heard, "run", workflow)
    heard.asked("sv.workflow.upd", {"workflow": {"id": workflow, "name": "weekly"}})
    world.engine.drive(board, "state")
    [change] = heard.heard(heard.one)
    assert change["workflow"]["name"] == "weekly"


def test_a_new_name_of_an_instance_is_in_the_messages_of_the_run(world: Any, workflow: str, heard: Ears) -> None:
    board = world.engine.board()
    asked(heard, "run", workflow)
    instance = refreshed(heard, workflow)["worktiesInstances"][0]["id"]
    about = {"workflow": {"id": workflow, "worktyInstance": {"id": instance, "name": "copy", "desc": "copies"}}}
    heard.asked("sv.workflow.upd.workty.instance", about)
    world.engine.drive(board, "state")
    [change] = heard.heard(heard.one)
    told = change["workflow"]["worktyInstance"]
    assert (told["name"], told["desc"], told["state"]) == ("copy", "copies", "running")
    heard.heard(heard.other)
    agree(heard, workflow, change["workflow"])


# --- following


def test_a_follower_gets_what_it_missed_then_what_happens(world: Any, workflow: str, heard: Ears) -> None:
    board = world.engine.board()
    asked(heard, "run", workflow)
    world.engine.drive(board, "state")
    missed = heard.heard(heard.one)
    payload = {"workflow": {"id": workflow}, "since": 1, "logSince": 0, "requestId": 7}
    assert heard.one.ask(CONTEXT, "sv.workflow.follow", payload) == {"err": None, "requestId": 7}
    assert heard.heard(heard.one) == missed
    world.engine.say(board, world.engine.key(world.db["workflows"].find_one({})["_id"]), Completed)
    world.engine.deliver_all()
    followed = heard.heard(heard.one)
    assert [message["workflow"]["run"]["seq"] for message in followed] == [3, 4]
    assert heard.heard(heard.other)[-2:] == followed
    told = heard.one.ask(CONTEXT, "sv.workflow.unfollow", {"workflow": {"id": workflow}})
    assert told == {"err": None}


def test_a_follower_that_knows_nothing_gets_a_snapshot(world: Any, workflow: str, heard: Ears) -> None:
    about = {"workflow": {"id": workflow.upper()}}
    assert heard.one.ask(CONTEXT, "sv.workflow.follow", about)["err"] is None
    before = heard.one.next(CONTEXT, "sv.workflow.snapshot")
    assert (before["run"], before["workflow"]["run"]) == (None, None)
    _, answer = asked(heard, "run", workflow)
    run = answer["run"]["id"]
    for named in ({}, {"run": {}}, {"run": None}, {"run": {"id": run}}):
        assert heard.one.ask(CONTEXT, "sv.workflow.follow", about | named)["err"] is None
        told = heard.one.next(CONTEXT, "sv.workflow.snapshot")
        assert told == {"workflow": refreshed(heard, workflow), "run": {"id": run, "seq": 1, "logSeq": 0}}


def test_only_runs_of_the_workflow_are_followed(world: Any, ann: Any, workflow: str, heard: Ears) -> None:
    other = workflow_of(world, ann)
    for client in (heard.one, heard.other):
        heard.heard(client)
    asked(heard, "run", other)
    run = refreshed(heard, other)["run"]["id"]
    for wrong in (run, UNKNOWN, "nonsense", 5, ["a"]):
        payload = {"workflow": {"id": workflow}, "run": {"id": wrong}}
        assert heard.refused("sv.workflow.follow", payload) == (500, "UnexpectedError", 2)
    for name in ("since", "logSince"):
        for number in (-1, 1.5, "1", True, [], {}):
            payload = {"workflow": {"id": workflow}, name: number}
            assert heard.refused("sv.workflow.follow", payload) == (400, "BadDigest", "")
    for wrong_run in ("x", 5, ["a"], {"id": None}, {"id": ""}, {"name": "x"}):
        payload = {"workflow": {"id": workflow}, "run": wrong_run}
        assert heard.refused("sv.workflow.follow", payload) == (400, "BadDigest", "")
    assert heard.one.taken(CONTEXT, "sv.workflow.snapshot") == []
