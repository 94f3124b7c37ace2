"""What is heard of a run is passed on in order, once, without gaps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.client import Event, LogLine, LogLines, Progress, Step, StepChanged
from api.client.merging import HELD_LIMIT, Merger

RUN, WORKFLOW = "r", "w"


def merger(*, logs: bool = False, live: bool = True) -> Merger:
    made = Merger(RUN, WORKFLOW, {"s": "bake"}, logs=logs)
    if live:
        made.go_on()
    return made


def change(seq: int, state: str = "running", run_state: str = "running", attempt: int = 1) -> StepChanged:
    return StepChanged(WORKFLOW, RUN, seq, run_state, Step("s", "bake", state, attempt))


def lines(seq: int) -> LogLines:
    return LogLines(RUN, seq, "s", "", 1, (LogLine("", "stdout", f"line {seq}"),))


def progress(seq: int) -> Progress:
    return Progress(RUN, seq, "s", 1, 0.5, "")


def numbers(events: list[Event]) -> list[int | None]:
    return [event.seq for event in events if isinstance(event, StepChanged | LogLines)]


@given(st.data())
def test_in_whatever_order_and_however_often_messages_come_each_is_told_once_in_order(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 8))
    heard = data.draw(st.lists(st.sampled_from(range(1, count + 1)), max_size=20))
    merging = merger()
    passed = [event for seq in heard for event in merging.hear(change(seq))]
    passed += [event for seq in range(1, count + 1) for event in merging.hear(change(seq))]
    assert numbers(passed) == list(range(1, count + 1))
    assert not merging.gap


def test_a_missing_message_holds_back_those_after_it() -> None:
    merging = merger()
    assert numbers(merging.hear(change(1))) == [1]
    assert merging.hear(change(3)) == []
    assert merging.gap
    assert numbers(merging.hear(change(2))) == [2, 3]
    assert not merging.gap


def test_while_a_replay_is_awaited_only_what_is_next_is_passed_on() -> None:
    merging = merger(live=False)
    assert merging.hear(change(3)) == []
    assert not merging.gap
    assert numbers(merging.hear(change(1))) == [1]
    assert merging.go_on() == []
    assert merging.gap
    assert numbers(merging.hear(change(2))) == [2, 3]


def test_what_is_missing_for_good_is_passed_over() -> None:
    merging = merger(logs=True)
    merging.hear(change(4))
    merging.hear(change(7))
    merging.hear(lines(3))
    assert numbers(merging.go_on_without()) == [3, 4, 7]
    assert numbers(merging.hear(change(8))) == [8]


def test_changes_and_logs_are_counted_each_for_itself_and_lines_get_the_name_of_their_step() -> None:
    merging = merger(logs=True)
    assert numbers(merging.hear(change(1))) == [1]
    [told] = merging.hear(lines(1))
    assert isinstance(told, LogLines)
    assert told.step_name == "bake"
    assert merging.hear(lines(3)) == []
    assert merging.gap


def test_logs_that_are_not_wanted_are_counted_only() -> None:
    merging = merger()
    assert merging.hear(lines(5)) == []
    assert (merging.logs.seq, merging.gap) == (5, False)


def test_a_snapshot_tells_every_step_then_only_what_is_new() -> None:
    merging = merger(live=False)
    bake, cool = Step("s", "bake", "running", 1), Step("t", "cool", "initial")
    told = merging.snapshot(5, "running", [bake, cool])
    assert [(e.step.id, e.snapshot) for e in told if isinstance(e, StepChanged)] == [("s", True), ("t", True)]
    assert numbers(told) == [5, 5]
    assert merging.snapshot(5, "running", [bake, cool]) == []
    told = merging.snapshot(6, "running", [bake, Step("t", "cool", "waiting")])
    assert [e.step.id for e in told if isinstance(e, StepChanged)] == ["t"]


def test_a_snapshot_that_knows_a_new_state_of_the_run_alone_tells_it_with_the_step_that_is_on() -> None:
    merging = merger(live=False)
    steps = [Step("s", "bake", "running", 1), Step("t", "cool", "initial")]
    merging.snapshot(5, "running", steps)
    [told] = merging.snapshot(6, "pausing", steps)
    assert isinstance(told, StepChanged)
    assert (told.run_state, told.step.id) == ("pausing", "s")


def test_what_a_snapshot_holds_is_not_told_again() -> None:
    merging = merger(live=False)
    merging.hear(change(4, "waiting"))
    merging.hear(change(6, "completed", "completed"))
    merging.snapshot(5, "running", [Step("s", "bake", "running", 1)])
    assert numbers(merging.go_on()) == [6]
    assert merging.ended


def test_a_snapshot_that_is_older_than_what_was_told_changes_nothing() -> None:
    merging = merger()
    for seq in (1, 2, 3):
        merging.hear(change(seq))
    assert merging.snapshot(2, "waiting", [Step("s", "bake", "waiting")]) == []
    assert numbers(merging.hear(change(4))) == [4]


def test_without_a_number_any_change_is_the_next_but_for_one_that_says_what_is_known() -> None:
    merging = merger(live=False)
    merging.snapshot(None, "running", [Step("s", "bake", "running", 1)], exact=False)
    assert merging.go_on() == []
    assert merging.hear(change(7, "running")) == []
    assert numbers(merging.hear(change(8, "completed", "completed"))) == [8]


def test_progress_is_passed_on_only_beside_the_change_that_it_belongs_to() -> None:
    merging = merger()
    merging.hear(change(1))
    assert merging.hear(progress(1)) == [progress(1)]
    assert merging.hear(progress(0)) == []
    assert merging.hear(progress(2)) == []
    merging.hear(change(2, "completed", "completed"))
    assert merging.hear(progress(2)) == []


def test_no_more_is_held_back_than_the_limit() -> None:
    merging = merger()
    for seq in range(2, HELD_LIMIT + 10):
        merging.hear(change(seq))
    assert len(merging.hear(change(1))) == HELD_LIMIT + 1
    assert merging.gap
    merging.await_replay()
    assert not merging.go_on()
    assert not merging.gap


def entered(seq: int, state: str) -> Progress:
    return Progress(RUN, seq, "s", 1, 0.5, "", workty_state=state)


def test_states_of_a_program_wait_for_the_change_they_belong_to_and_none_is_left_out() -> None:
    merging = merger(live=False)
    assert merging.hear(entered(1, "early")) == []
    assert merging.hear(change(1)) == [change(1), entered(1, "early")]
    assert merging.hear(entered(1, "copying")) == [entered(1, "copying")]
    assert merging.hear(progress(1)) == []
    merging.go_on()
    assert merging.hear(entered(3, "checking")) == []
    assert merging.hear(change(3)) == []
    assert merging.hear(change(2)) == [change(2), change(3), entered(3, "checking")]
    assert merging.hear(entered(2, "late")) == []
