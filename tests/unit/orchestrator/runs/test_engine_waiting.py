"""What waiting runs say they wait for stays true while boards come, go and change."""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from orchestrator.boards.explaining import COMPARED_EVERY, Explainer
from orchestrator.live import EntityChange, EntityKind
from orchestrator.runs.decide import decide
from orchestrator.runs.vocabulary import PauseWanted, RunState, StepReason, StillWaiting
from orchestrator.runs.waiting import WaitingRuns
from tests.unit.orchestrator.runs.world import ACCOUNT, BoardModel, World

BUSY = ("no-slot", "Board 'board-0' fits, and its only slot is busy")
DISABLED = ("no-board", "No board with label 'camera' is available: 1 is disabled (board-0)")


def change(world: World, board: BoardModel, **fields: Any) -> None:
    assert world.core.boards.change(ObjectId(board.id), fields) is not None


def waiting(world: World, count: int = 1) -> tuple[BoardModel, list[ObjectId]]:
    """The only board with a camera, busy, beside one without; and runs that wait for it."""
    board = world.board(slots=1)
    world.board()
    change(world, board, givenLabels=["camera"])
    workflows = [world.workflow(1, labels=["camera"]) for _ in range(count + 1)]
    for workflow in workflows:
        world.core.runs.start(workflow)
    world.take(board)
    world.deliver_all()
    return board, workflows[1:]


def says(world: World, workflow: ObjectId) -> tuple[str, str]:
    reason = world.run(workflow).step.reason
    assert reason is not None
    return reason.code, reason.message


def test_a_reason_follows_the_only_board_with_the_label(world: World) -> None:
    board, [workflow] = waiting(world)
    assert says(world, workflow) == BUSY
    for disabled, said in ((True, DISABLED), (False, BUSY)):
        change(world, board, disabled=disabled)
        world.sweep(1)
        assert says(world, workflow) == said
        assert world.run(workflow).state is RunState.WAITING


def test_live_clients_are_told_of_those_that_are_served_first(world: World) -> None:
    board, workflows = waiting(world, 3)
    change(world, board, disabled=True)
    explainer = Explainer(WaitingRuns(world.database), world.clock, world, most_told=2)
    explainer.refresh(world.core.boards.all())
    assert {says(world, workflow) for workflow in workflows} == {DISABLED}
    told = [entity for entity in world.entities if entity.kind is EntityKind.WORKFLOW]
    assert told == [EntityChange(kind=EntityKind.WORKFLOW, id=str(id_), owner=ACCOUNT) for id_ in workflows[:2]]


def test_a_run_without_a_board_says_so_from_its_first_change_on(world: World) -> None:
    world.core.runs.start(world.workflow(1))
    assert [change.step["reason"]["code"] for change in world.changes] == ["no-board"]


def test_a_reason_that_was_written_late_is_corrected_though_no_board_changes(world: World) -> None:
    _, [workflow] = waiting(world)
    world.sweep(1)
    world.core.engine.handle(world.run(workflow).id, [StillWaiting(StepReason(*DISABLED))])
    world.sweep(1)
    assert says(world, workflow) == DISABLED
    world.sweep(COMPARED_EVERY.total_seconds())
    assert says(world, workflow) == BUSY


def test_whoever_decided_about_a_run_meanwhile_decides_again(world: World) -> None:
    board, [workflow] = waiting(world)
    world.sweep(1)
    stored = world.store.latest(str(workflow))
    assert stored is not None
    change(world, board, disabled=True)
    world.sweep(1)
    assert world.store.save(stored, decide(stored.run, PauseWanted(), world.now), "token", world.now) is None
    world.core.runs.pause(workflow)
    assert world.run(workflow).state is RunState.PAUSED


def test_a_place_in_the_queue_counts_who_comes_before(world: World) -> None:
    _, workflows = waiting(world, 3)
    runs = WaitingRuns(world.database)
    assert [runs.ahead(world.run(workflow)) for workflow in workflows] == [0, 1, 2]
