"""Pause, resume and stop at every moment: each cell of the tables of docs/commands.md is a test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.embedded import embedded_database
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.moments import ACTS, MOMENTS, Scene, give
from tests.unit.orchestrator.runs.world import Crashed


def _table(first: str) -> dict[str, dict[str, str]]:
    """The table whose first column is called so: by row and column."""
    text = Path("docs/commands.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| {first} \|.*?(?=\n\n)", text, flags=re.MULTILINE | re.DOTALL)
    assert found, first
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in found[0].splitlines())
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


BY_MOMENT, BY_ACT = _table("The run"), _table("The board")


def _cells(table: dict[str, dict[str, str]]) -> list[object]:
    return [
        pytest.param(row, column, expected, id=f"{row} - {column}")
        for row, cells in table.items()
        for column, expected in cells.items()
    ]


def _last(cell: str) -> str:
    return re.findall(r"`(\w+)`", cell)[-1]


def test_the_tables_have_a_row_for_each_moment_and_each_thing_a_board_may_do() -> None:
    assert list(BY_MOMENT) == list(MOMENTS)
    assert list(BY_ACT) == list(ACTS)


@pytest.mark.parametrize(("moment", "command", "expected"), _cells(BY_MOMENT))
def test_at_this_moment(moment: str, command: str, expected: str) -> None:
    package, arrange = MOMENTS[moment]
    scene = Scene(**package)
    arrange(scene)
    before = scene.run if scene.has_run else None
    seen = give(scene, command)
    if expected == "new run":
        assert scene.run.number == (before.number + 1 if before else 1)
        expected = "`waiting`, then `completed`"
    assert (seen if seen.startswith("error") else None) == (expected if expected.startswith("error") else None)
    if expected.startswith("`") and command != "no command":
        assert seen == expected.split(",")[0]
    else:
        assert before is None or scene.run == before
        expected = BY_MOMENT[moment]["no command"]
    if expected != "-":
        scene.settle()
        assert scene.run.state == _last(expected)
    assert_sound(scene)


@pytest.mark.parametrize(("act", "commands", "expected"), _cells(BY_ACT))
def test_when_the_board(act: str, commands: str, expected: str) -> None:
    package, board_acts = ACTS[act]
    scene = Scene(**package)
    scene.begin()
    for command in commands.split(", "):
        give(scene, command)
    board_acts(scene)
    scene.settle()
    assert scene.run.state == _last(expected)
    if not commands.endswith("run"):
        assert [sent.attempt for sent in scene.world.sent] == [1], "what shall pause or stop is not sent again"
    assert_sound(scene)


def assert_sound(scene: Scene) -> None:
    """Nothing is left over, nothing ran or was told twice; and a further run goes on or begins anew, and completes."""
    if scene.has_run:
        _assert_left_clean(scene)
    before = scene.run if scene.has_run else None
    scene.add_board()
    give(scene, "run")
    if before is not None:
        assert (scene.run.id == before.id) == (before.state is RunState.PAUSED)
    scene.settle()
    assert scene.world.states(scene.workflow) == ["completed"] * len(scene.run.steps)
    scene.end()
    _assert_left_clean(scene)
    assert not any(board.journal for board in scene.world.boards.values())
    assert set(scene.completions.values()) == {1}


def _assert_left_clean(scene: Scene) -> None:
    run = scene.run
    leases = [lease for board in scene.world.core.boards.all() for lease in board.leases]
    assert run.id not in {lease.run for lease in leases}
    assert not scene.world.database["runs"].count_documents({"draining": True})
    told = [change.seq for change in scene.world.changes if change.run == run.id]
    # Whoever was telling clients something when it died is followed by one who tells it again.
    assert (sorted(set(told)) if scene.world.crashed else told) == list(range(1, run.seq + 1))


# --- processes that die, and commands at the same time


@pytest.mark.parametrize("effects", range(4))
@pytest.mark.parametrize(
    ("commands", "expected"), [("pause", "paused"), ("pause, run", "completed"), ("stop", "stopped")]
)
def test_a_process_that_dies_with_a_command_half_carried_out(commands: str, expected: str, effects: int) -> None:
    scene = Scene()
    scene.begin()
    scene.world.crash_after = effects
    try:
        for command in commands.split(", "):
            give(scene, command)
        scene.settle()
    except Crashed:
        for command in commands.split(", ")[1:]:
            give(scene, command)
        scene.settle()
    assert scene.run.state == expected
    scene.world.crash_after = None
    scene.end()
    assert_sound(scene)


def test_a_pause_that_was_withdrawn_before_it_was_sent_is_not_sent() -> None:
    scene = Scene()
    scene.begin()
    scene.world.crash_after = 0
    with pytest.raises(Crashed):
        give(scene, "pause")
    give(scene, "run")
    scene.world.beat(6)
    assert scene.board.controls == []
    scene.settle()
    assert [step.attempt for step in scene.run.steps] == [1, 1]


@pytest.mark.parametrize(
    ("moment", "first", "second", "state", "orders"),
    [
        ("runs a step", "pause", "pause", "`pausing`", ["pause"]),
        ("runs a step", "stop", "stop", "`stopping`", ["stop"]),
        ("runs a step", "pause", "stop", "`stopping`", ["pause", "stop"]),
        ("runs a step", "stop", "pause", "error 8", ["stop"]),
        ("is `pausing`", "run", "run", "`running`", ["pause"]),
        ("is `pausing`", "run", "stop", "`stopping`", ["pause", "stop"]),
        ("is `pausing`", "stop", "run", "error 8", ["pause", "stop"]),
        ("is `pausing`", "stop", "resume", "error 9", ["pause", "stop"]),
        ("is `pausing`", "resume", "resume", "error 9", ["pause"]),
        ("is `paused`", "run", "run", "`waiting`", []),
        ("is `paused`", "stop", "run", "`waiting`", []),
        ("is `paused`", "run", "stop", "`stopping`", ["stop"]),
    ],
)
def test_of_commands_in_two_processes_at_once_each_has_its_effect_once(
    moment: str, first: str, second: str, state: str, orders: list[str]
) -> None:
    """`second` has read the run when `first` is given and carried out."""
    meanwhile: list[Callable[[], object]] = []

    def observed(collection: str, operation: str) -> None:
        if (collection, operation) == ("runs", "find_one_and_update") and meanwhile:
            meanwhile.pop()()

    scene = Scene(database=embedded_database(observe=observed))
    MOMENTS[moment][1](scene)
    meanwhile.append(lambda: give(scene, first))
    assert (give(scene, second), meanwhile) == (state, [])
    assert [order.command for order in scene.board.controls] == orders
    assert len({(sent.run, sent.attempt) for sent in scene.board.assignments}) == len(scene.board.assignments) <= 1
    scene.settle()
    assert_sound(scene)
