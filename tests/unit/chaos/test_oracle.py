"""The oracle of storms: it is content with a run that went well, and each check finds what it is there for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tests.chaos import oracle
from tests.chaos.ledger import STATES, Line
from tests.chaos.oracle import Leftovers
from tests.chaos.records import Asked, Change, RunRecord, StepRecord
from tests.chaos.storm import schedule

Changed = Callable[[RunRecord], RunRecord]


def lines(token: str, *states: str, attempt: int = 1) -> list[Line]:
    return [Line(token, attempt, state, "board-1", 0.0) for state in states]


def history(*told: tuple[str, str, str, int, str | None]) -> tuple[Change, ...]:
    return tuple(Change(seq, *each) for seq, each in enumerate(told, start=1))


def step(token: str, **fields: Any) -> StepRecord:
    record = StepRecord(token, token, "resuming-0", "completed", 1, active=False, output={"trail": list(STATES)})
    return replace(record, **fields)


#: Two steps; the first was interrupted once.
RUN = RunRecord(
    id="run",
    workflow="workflow",
    state="completed",
    seq=8,
    losses=1,
    reason=None,
    holds_slot=False,
    queued=False,
    unsent=0,
    steps=(step("a", attempt=2), step("b")),
    history=history(
        ("waiting", "a", "waiting", 0, None),
        ("running", "a", "running", 1, None),
        ("waiting", "a", "waiting", 2, "reboot"),
        ("running", "a", "running", 2, None),
        ("running", "a", "completed", 2, None),
        ("waiting", "b", "waiting", 0, None),
        ("running", "b", "running", 1, None),
        ("completed", "b", "completed", 1, None),
    ),
)
LEDGER = [*lines("a", *STATES[:2]), *lines("a", *STATES[1:], attempt=2), *lines("b", *STATES)]
ASKED = [Asked("workflow")]


def with_change(place: int, **fields: Any) -> Changed:
    return lambda run: replace(
        run, history=(*run.history[:place], replace(run.history[place], **fields), *run.history[place + 1 :])
    )


def with_steps(*steps: StepRecord) -> Changed:
    return lambda run: replace(run, steps=steps)


def found(sentences: Iterable[str]) -> str:
    return "\n".join(sentences)


def test_nothing_is_wrong_with_a_run_that_went_well() -> None:
    heard = {"run": {change.seq: change for change in RUN.history}}
    assert not found(oracle.every_run_ended(ASKED, [RUN]))
    assert not found(oracle.steps_are_completed_once([RUN]))
    assert not found(oracle.events_have_no_gaps([RUN], heard))
    assert not found(oracle.ledger_agrees([RUN], LEDGER))
    assert not found(oracle.nothing_is_left(Leftovers(leases={"board-1": []}, messages={"events": 0})))


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (replace(RUN, state="running"), "has not ended"),
        (replace(RUN, state="stopped"), "nobody asked for it"),
        (replace(RUN, state="failed", reason="exit"), "failed for exit"),
        (replace(RUN, state="failed", reason="board-lost", losses=2), "failed for board-lost with 2 losses"),
        (replace(RUN, holds_slot=True), "still holds a slot"),
        (replace(RUN, unsent=1), "still holds"),
        (replace(RUN, workflow="other"), "workflow workflow was run once and has 0 runs"),
        (replace(RUN, workflow="other"), "which nobody ran"),
    ],
)
def test_a_run_that_did_not_end_as_it_may_is_found(run: RunRecord, sentence: str) -> None:
    assert sentence in found(oracle.every_run_ended(ASKED, [run]))


def test_a_run_may_fail_after_three_losses_or_as_its_fragile_step_says() -> None:
    lost = replace(RUN, state="failed", reason="board-lost", losses=3)
    fragile = replace(RUN, state="failed", reason="interrupted", steps=(step("a", kind="fragile", state="failed"),))
    for run in (lost, fragile):
        assert not found(oracle.every_run_ended(ASKED, [run]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_change(4, state="waiting"), "step a is completed and completed 0 times"),
        (with_change(6, state="completed"), "completed 2 times"),
        (with_change(1, state="completed"), "waiting -> completed"),
        (with_change(3, attempt=1), "attempt 2 -> 1"),
        (with_change(2, reason="stopped"), "interrupted for stopped"),
        (with_steps(step("a", attempt=2, state="failed"), step("b")), "one after another"),
        (with_steps(step("a"), step("b", state="initial")), "run run is completed with steps"),
    ],
)
def test_records_that_contradict_themselves_are_found(change: Changed, sentence: str) -> None:
    assert sentence in found(oracle.steps_are_completed_once([change(RUN)]))


def test_gaps_and_other_news_than_the_records_are_found() -> None:
    told = {change.seq: change for change in RUN.history}
    gap = {seq: change for seq, change in told.items() if seq != 3}
    other = told | {3: replace(told[3], state="running")}
    assert "clients heard [1, 2, 4, 5, 6, 7, 8]" in found(oracle.events_have_no_gaps([RUN], {"run": gap}))
    assert "the record is" in found(oracle.events_have_no_gaps([RUN], {"run": other}))
    cut = replace(RUN, history=RUN.history[1:])
    assert "the history has" in found(oracle.events_have_no_gaps([cut], {"run": told}))


@pytest.mark.parametrize(
    ("ledger", "sentence"),
    [
        ([*LEDGER, *lines("a", STATES[2], attempt=3)], "ran as attempt 3, the record knows 2"),
        ([*LEDGER, *lines("b", STATES[2])], "step b, attempt 1, entered"),
        ([*lines("a", *STATES[:2]), *lines("a", *STATES, attempt=2), *lines("b", *STATES)], "made for reboot, entered"),
        (LEDGER[:-1], "step b is completed by attempt 1"),
        (LEDGER[3:], "step a is completed by attempt 2"),
        ([*LEDGER[:2], LEDGER[4], *LEDGER[2:4], *LEDGER[5:]], "step b began before"),
        ([*LEDGER, *lines("c", STATES[0])], "lines of c"),
    ],
)
def test_a_ledger_that_tells_another_story_is_found(ledger: list[Line], sentence: str) -> None:
    assert sentence in found(oracle.ledger_agrees([RUN], ledger))


def test_states_may_be_entered_again_after_a_lost_board_and_by_worktys_that_do_not_resume() -> None:
    again = [*lines("a", *STATES[:2]), *lines("a", *STATES, attempt=2), *lines("b", *STATES)]
    lost = with_change(2, reason="board-lost")(RUN)
    restarting = replace(RUN, steps=(step("a", attempt=2, kind="restarting"), step("b")))
    for run in (lost, restarting):
        assert not found(oracle.ledger_agrees([run], again))


def test_an_output_that_lost_its_memory_is_found() -> None:
    forgetful = with_steps(step("a", attempt=2, output={"trail": list(STATES[1:])}), step("b"))(RUN)
    assert "step a is completed with output" in found(oracle.ledger_agrees([forgetful], LEDGER))


@pytest.mark.parametrize(
    "left",
    [
        Leftovers(leases={"board-1": ["run"]}),
        Leftovers(messages={"events": 1}),
        Leftovers(queues=["amq.gen-1"]),
        Leftovers(journals={"board-1": 2}),
        Leftovers(files=["steps/1"]),
        Leftovers(processes=["board-1: 7 python"]),
        Leftovers(refused=["no JSON"]),
    ],
)
def test_whatever_is_left_over_is_found(left: Leftovers) -> None:
    assert len(list(oracle.nothing_is_left(left))) == 1


class Named:
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def strike(self, random: Random) -> str:
        return self.kind


def test_a_seed_always_makes_the_same_storm_in_which_every_fault_comes_as_often_as_its_weight_says() -> None:
    drawn = [(Named("often"), 3), (Named("once"), 1)]
    first, again, other = (schedule(seed, drawn, 44.0) for seed in ("one", "one", "two"))
    assert first == again != other
    assert [strike.fault.kind for strike in first].count("often") == 15
    assert len({strike.seed for strike in first}) == len(first) == 20
