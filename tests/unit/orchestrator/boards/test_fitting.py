"""What waiting runs say of the fleet: a table of fleets and sentences."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.boards.fitting import MAX_SENTENCE, waiting_reason
from orchestrator.boards.store import Board, Lease

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def board(name: str, *labels: str, **more: Any) -> Board:
    known = {"connected": True, "disabled": False, "draining": False, "slots": 2, "leases": (), "active": ()}
    seen = {"runtimes": frozenset({"python"}), "last_seen": NOW, "labels": frozenset(labels)}
    return Board(id=name, name=name, **(known | seen | more))  # type: ignore[arg-type]


def off(name: str, *labels: str) -> Board:
    return board(name, *labels, connected=False)


def disabled(name: str, *labels: str, **more: Any) -> Board:
    return board(name, *labels, disabled=True, **more)


def unheard(name: str) -> Board:
    return board(name, connected=False, runtimes=frozenset(), last_seen=None, slots=0)


CAMERA = ("camera",)


@pytest.mark.parametrize(
    ("fleet", "labels", "code", "sentence"),
    [
        ([], (), "no-board", "There is no board at all. An admin adds one: workty board add NAME"),
        (
            [disabled("shed", *CAMERA), disabled("attic", *CAMERA), off("porch", *CAMERA), board("hall")],
            CAMERA,
            "no-board",
            "No board with label 'camera' is available: 2 are disabled (attic, shed), 1 is disconnected (porch)",
        ),
        (
            [board("a", *CAMERA, draining=True), disabled("b", *CAMERA, connected=False)],
            CAMERA,
            "no-board",
            "No board with label 'camera' is available: 1 is draining (a), 1 is disabled and disconnected (b)",
        ),
        ([unheard("new")], (), "no-board", "No board with runtime 'python' is available: 1 was never connected (new)"),
        ([board("a"), off("b")], CAMERA, "no-board", "No board has label 'camera'; 1 board is connected (a)"),
        (
            [board(str(number)) for number in range(4)],
            ("camera", "gpu"),
            "no-board",
            "No board has label 'camera' and label 'gpu'; 4 boards are connected",
        ),
        (
            [board("a", "camera"), board("b", "gpu"), board("c")],
            ("camera", "gpu"),
            "no-board",
            "No board has label 'camera', label 'gpu' and runtime 'python' together: of 3 boards 2 lack label "
            "'camera', 2 lack label 'gpu'",
        ),
        ([board("a")], (), "no-slot", "Board 'a' fits, and all of its 2 slots are busy"),
        ([board("a", slots=1), unheard("new")], (), "no-slot", "Board 'a' fits, and its only slot is busy"),
        ([board("a", slots=0)], (), "no-board", "No board with runtime 'python' is available: 1 has no slots (a)"),
        (
            [board("a"), board("b"), board("c"), board("d"), disabled("e")],
            (),
            "no-slot",
            "4 boards fit, and all of their 8 slots are busy. Others that fit: 1 is disabled (e)",
        ),
    ],
)
def test_a_fleet_is_told_by_what_keeps_a_run_waiting(
    fleet: list[Board], labels: tuple[str, ...], code: str, sentence: str
) -> None:
    reason = waiting_reason(fleet, ["python"], labels)
    assert (reason.code, reason.message) == (code, sentence)


def test_what_is_leased_does_not_change_the_sentence() -> None:
    busy = board("a", leases=(Lease("run", NOW),))
    assert waiting_reason([busy], ["python"], ()) == waiting_reason([board("a")], ["python"], ())


def test_long_names_and_labels_make_no_endless_sentence() -> None:
    fleet = [disabled("n" * 256 + str(number), draining=bool(number % 2)) for number in range(6)]
    for labels in ((), tuple(f"{number}" + "l" * 63 for number in range(50))):
        assert len(waiting_reason(fleet, ["python"], labels).message) <= MAX_SENTENCE
