"""What a board remembers, and what it answers when it is asked twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from worker_agent.errors import JournalUnavailable
from worker_agent.journal import Journal
from worker_agent.records import Key, Taken, key_of
from workties.messages import Assignment, Checkpoint, Completed, Interrupted, Reason, StateReported
from workties.parsing import parse_event

Make = Callable[..., Assignment]
REBOOT = Reason("reboot", "restarted")


def take(journal: Journal, assignment: Assignment, **values: Any) -> Taken:
    return journal.take(assignment, **{"refusal": None, "capacity": 8, **values})


def told(journal: Journal) -> list[dict[str, Any]]:
    """Events that wait to be sent."""
    events = [json.loads(event.body) for event in journal.unsent()[0]]
    for event in events:
        parse_event(event)
    return events


def send_all(journal: Journal) -> list[dict[str, Any]]:
    """Send what waits, as the publisher does."""
    events = told(journal)
    journal.confirm([event.id for event in journal.unsent()[0]])
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


def test_an_assignment_is_answered_with_accepted_and_waits(journal: Journal, assignment: Make) -> None:
    sent = assignment()
    assert take(journal, sent) is Taken.NEW
    assert [(event["kind"], event["seq"], event["board"]) for event in told(journal)] == [("accepted", 1, "board-01")]
    assert journal.accepted() == [sent]


def test_a_second_delivery_is_answered_with_accepted_again_and_does_not_run_twice(
    journal: Journal, assignment: Make
) -> None:
    sent = assignment()
    take(journal, sent)
    first = send_all(journal)
    assert take(journal, sent) is Taken.KNOWN
    assert told(journal) == first
    assert journal.accepted() == [sent]


@pytest.mark.parametrize("restart", [False, True])
def test_a_second_delivery_of_an_ended_attempt_is_answered_with_the_same_final_event(
    open_journal: Callable[..., Journal], assignment: Make, restart: bool
) -> None:
    journal, key = open_journal(), key_of(assignment())
    take(journal, assignment())
    journal.begin(key)
    journal.end(key, partial(Completed, output={"answer": 42}))
    final = send_all(journal)[-1]
    if restart:
        journal = open_journal()
    assert told(journal) == []
    assert take(journal, assignment()) is Taken.KNOWN
    assert told(journal) == [final]
    assert journal.accepted() == []


def test_an_older_attempt_than_known_is_refused(journal: Journal, assignment: Make) -> None:
    take(journal, assignment(attempt=3))
    assert take(journal, assignment(attempt=2)) is Taken.REFUSED
    refused = told(journal)[-1]
    assert (refused["kind"], refused["attempt"], refused["reason"]["code"]) == ("refused", 2, "old-attempt")


def test_a_newer_attempt_ends_an_older_one_that_has_not_begun(journal: Journal, assignment: Make) -> None:
    take(journal, assignment(attempt=1))
    take(journal, assignment(attempt=2))
    assert [found.attempt for found in journal.accepted()] == [2]
    ended = next(event for event in told(journal) if event["kind"] == "interrupted")
    assert (ended["attempt"], ended["reason"]["code"]) == (1, "stopped")


def test_more_than_there_is_room_for_is_refused(journal: Journal, assignment: Make) -> None:
    take(journal, assignment(instance="a"), capacity=2)
    take(journal, assignment(instance="b"), capacity=2)
    assert take(journal, assignment(instance="c"), capacity=2) is Taken.REFUSED
    assert told(journal)[-1]["reason"]["code"] == "no-slot"


def test_a_refusal_is_remembered_and_said_again(journal: Journal, assignment: Make) -> None:
    take(journal, assignment(), refusal=Reason("no-runtime", "no java"))
    first = send_all(journal)
    assert take(journal, assignment()) is Taken.KNOWN
    assert told(journal) == first


def test_events_are_numbered_without_gaps(journal: Journal, assignment: Make) -> None:
    key = key_of(assignment())
    take(journal, assignment())
    journal.begin(key)
    journal.report(key, partial(StateReported, state="one"), partial(StateReported, state="two"))
    stamp, _ = journal.number(key) or ({}, 0)
    assert stamp["seq"] == 5
    journal.end(key, Completed)
    assert [event["seq"] for event in told(journal)] == [1, 2, 3, 4, 6]


def test_an_ended_attempt_numbers_no_more_events(journal: Journal, assignment: Make) -> None:
    key = key_of(assignment())
    take(journal, assignment())
    assert journal.number(key) is None
    journal.begin(key)
    journal.end(key, Completed)
    assert journal.number(key) is None
    assert not journal.report(key, partial(StateReported, state="late"))
    assert not journal.end(key, Completed)
    assert kinds(told(journal)) == ["accepted", "state", "completed"]


def test_after_a_restart_numbers_are_higher_than_any_given_before(
    open_journal: Callable[..., Journal], assignment: Make
) -> None:
    journal, key = open_journal(), key_of(assignment())
    take(journal, assignment())
    journal.begin(key)
    highest = max(journal.number(key)[0]["seq"] for _ in range(100))  # type: ignore[index]
    journal = open_journal()
    assert journal.running() == [key]
    journal.end(key, partial(Interrupted, reason=REBOOT))
    assert told(journal)[-1]["seq"] > highest


def test_the_newest_checkpoint_survives_a_restart(open_journal: Callable[..., Journal], assignment: Make) -> None:
    journal, key = open_journal(), key_of(assignment())
    take(journal, assignment(checkpoint=Checkpoint("old", {"done": 1})))
    assert journal.checkpoint(key) == Checkpoint("old", {"done": 1})
    journal.begin(key)
    newest = Checkpoint("copying", {"done": 2, "odd": "\ud800"})
    journal.report(key, partial(StateReported, state="copying", checkpoint=newest), checkpoint=newest)
    assert open_journal().checkpoint(key) == newest


def test_what_has_not_begun_waits_across_a_restart(open_journal: Callable[..., Journal], assignment: Make) -> None:
    take(open_journal(), assignment())
    journal = open_journal()
    assert journal.accepted() == [assignment()]
    assert journal.running() == []


def test_an_attempt_begins_once(journal: Journal, assignment: Make) -> None:
    key = key_of(assignment())
    take(journal, assignment())
    assert journal.begin(key)
    assert not journal.begin(key)
    assert not journal.begin(Key("other", "instance", 1))


def test_events_wait_in_order_until_they_are_confirmed(open_journal: Callable[..., Journal], assignment: Make) -> None:
    journal = open_journal()
    for instance in "abc":
        take(journal, assignment(instance=instance))
    events, upto = journal.unsent(2)
    assert [json.loads(event.body)["instance"] for event in events] == ["a", "b"]
    assert upto == events[-1].id
    journal.confirm([event.id for event in events])
    assert [event["instance"] for event in told(journal)] == ["c"]
    assert journal.queued() == 1
    assert [event["instance"] for event in told(open_journal())] == ["c"]


def test_interrupting_what_has_not_begun_says_so_with_its_checkpoint(journal: Journal, assignment: Make) -> None:
    take(journal, assignment(checkpoint=Checkpoint("copying")))
    journal.interrupt(key_of(assignment()), Reason("stopped", "by user"))
    final = told(journal)[-1]
    assert (final["kind"], final["seq"], final["checkpoint"]["state"]) == ("interrupted", 2, "copying")
    assert journal.accepted() == []


@pytest.mark.parametrize("restart", [False, True])
def test_interrupting_what_is_not_known_is_answered_and_it_does_not_begin_later(
    open_journal: Callable[..., Journal], assignment: Make, restart: bool
) -> None:
    journal = open_journal()
    journal.interrupt(key_of(assignment()), Reason("paused", "by user"))
    first = send_all(journal)
    if restart:
        journal = open_journal()
    assert [(event["kind"], event["seq"], event["checkpoint"]) for event in first] == [("interrupted", 1, None)]
    assert take(journal, assignment()) is Taken.KNOWN
    assert told(journal) == first
    assert journal.accepted() == []


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("phase", ["unknown", "accepted", "running", "ended"])
def test_nothing_more_is_said_of_a_forgotten_attempt_and_it_does_not_begin_later(
    open_journal: Callable[..., Journal], assignment: Make, phase: str, restart: bool
) -> None:
    journal, key = open_journal(), key_of(assignment())
    phases = ["unknown", "accepted", "running", "ended"].index(phase)
    for step in (lambda: take(journal, assignment()), lambda: journal.begin(key), lambda: journal.end(key, Completed))[
        :phases
    ]:
        step()
    journal.forget(key)
    if restart:
        journal = open_journal()
    assert (told(journal), journal.active(), journal.running(), journal.accepted()) == ([], (), [], [])
    assert journal.number(key) is None
    assert not journal.end(key, Completed)
    assert take(journal, assignment()) is Taken.KNOWN
    assert journal.accepted() == []


def test_a_forgotten_attempt_that_is_delivered_again_is_refused_with_a_higher_number(
    journal: Journal, assignment: Make
) -> None:
    key = key_of(assignment())
    take(journal, assignment())
    journal.begin(key)
    journal.report(key, partial(StateReported, state="copying"))
    last = send_all(journal)[-1]["seq"]
    journal.forget(key)
    take(journal, assignment())
    refused = send_all(journal)
    assert [(event["kind"], event["reason"]["code"]) for event in refused] == [("refused", "old-attempt")]
    assert refused[0]["seq"] > last
    take(journal, assignment())
    assert told(journal) == refused


def test_how_an_attempt_ended_is_told_again_though_it_was_to_be_forgotten(journal: Journal, assignment: Make) -> None:
    key = key_of(assignment())
    take(journal, assignment())
    journal.begin(key)
    journal.end(key, Completed)
    end = send_all(journal)[-1]
    journal.forget(key)
    assert told(journal) == []
    take(journal, assignment())
    assert told(journal) == [end]


def test_a_stop_of_a_forgotten_attempt_is_answered(journal: Journal, assignment: Make) -> None:
    key = key_of(assignment())
    take(journal, assignment())
    journal.forget(key)
    journal.interrupt(key, Reason("stopped", "by user"))
    assert kinds(told(journal)) == ["interrupted"]


def test_a_heartbeat_lists_what_has_not_ended(journal: Journal, assignment: Make) -> None:
    for instance in ("a", "b", "c"):
        take(journal, assignment(instance=instance))
    for instance in ("a", "c"):
        journal.begin(Key("run-1", instance, 1))
    journal.report(Key("run-1", "a", 1), partial(StateReported, state="copying"))
    journal.end(Key("run-1", "c", 1), Completed)
    send_all(journal)
    assert [(found.instance, found.seq, found.state) for found in journal.active()] == [
        ("a", 3, "copying"),
        ("b", 1, "accepted"),
    ]


def test_a_heartbeat_lists_what_has_ended_until_the_broker_has_its_end(
    open_journal: Callable[..., Journal], assignment: Make
) -> None:
    journal, key = open_journal(), key_of(assignment())
    take(journal, assignment())
    journal.begin(key)
    journal.end(key, Completed)
    assert [(found.attempt, found.seq) for found in journal.active()] == [(1, 3)]
    journal = open_journal()
    assert [(found.attempt, found.seq) for found in journal.active()] == [(1, 3)]
    send_all(journal)
    assert journal.active() == ()
    assert open_journal().active() == ()


def test_of_many_states_that_nobody_could_be_told_the_newest_are_kept(journal: Journal, assignment: Make) -> None:
    key = key_of(assignment())
    take(journal, assignment())
    take(journal, assignment(instance="other"))
    journal.begin(key)
    for count in range(300):
        journal.report(key, partial(StateReported, state=f"s{count}"))
    journal.end(key, Completed)
    events = [event for event in told(journal) if event["instance"] == key.instance]
    assert len(events) < 110
    assert (kinds(events)[0], kinds(events)[-1], events[-2]["state"]) == ("accepted", "completed", "s299")
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))
    assert any(event["instance"] == "other" for event in told(journal))


@pytest.mark.parametrize("damage", ["garbage", "cut off", "zeroes inside"])
def test_a_damaged_journal_is_set_aside_and_a_new_one_begins(
    open_journal: Callable[..., Journal],
    assignment: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path, "board-01", lambda: "now", lambda: None)
    for number in range(50):
        take(journal, assignment(instance=f"i{number}"), capacity=99)
    journal.close()
    content = path.read_bytes()
    changed = {
        "garbage": b"garbage" * 1000,
        "cut off": content[: len(content) // 2],
        "zeroes inside": content[:8192] + bytes(len(content) - 8192),
    }
    path.write_bytes(changed[damage])
    journal = open_journal()
    assert journal.accepted() == []
    assert take(journal, assignment()) is Taken.NEW
    (aside,) = tmp_path.glob("journal.db.damaged-*")
    assert aside.read_bytes() == changed[damage]
    assert "is damaged" in caplog.text
    assert str(aside) in caplog.text


def test_what_another_version_of_the_agent_took_and_this_one_cannot_read_is_refused(
    open_journal: Callable[..., Journal], assignment: Make, tmp_path: Path
) -> None:
    take(open_journal(), assignment(instance="odd"))
    take(open_journal(), assignment(instance="plain"))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database, database:
        database.execute("UPDATE attempts SET assignment = json_set(assignment, '$.v', 9) WHERE instance = 'odd'")
    journal = open_journal()
    assert [found.instance for found in journal.accepted()] == ["plain"]
    assert [(event["instance"], event["reason"]["code"]) for event in told(journal) if event["kind"] == "refused"] == [
        ("odd", "bad-message")
    ]


def test_a_full_disk_is_said_and_what_was_not_written_can_be_written_later(
    journal: Journal, assignment: Make, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    key = key_of(assignment(instance="before"))
    take(journal, assignment(instance="before"))
    journal.begin(key)
    with full_disk():
        with pytest.raises(JournalUnavailable, match="Is the disk full"):
            take(journal, assignment())
        with pytest.raises(JournalUnavailable):
            journal.end(key, Completed)
        while journal.number(key):
            pass  # up to the numbers that were set aside
        journal.confirm([1])
        journal.flush()
    assert take(journal, assignment()) is Taken.NEW
    assert journal.end(key, Completed)
    assert [(event["kind"], event["instance"]) for event in told(journal)] == [
        ("state", "before"),
        ("accepted", "instance-1"),
        ("completed", "before"),
    ]


def test_a_short_step_costs_few_writes(journal: Journal, assignment: Make) -> None:
    key = key_of(assignment())
    before = journal.writes
    take(journal, assignment())
    send_all(journal)
    journal.begin(key)
    send_all(journal)
    journal.report(key, partial(StateReported, state="one", checkpoint=Checkpoint("one")), checkpoint=Checkpoint("one"))
    for _ in range(20):
        journal.number(key)
    journal.end(key, Completed)
    send_all(journal)
    assert journal.writes - before == 4  # accepted, running, one, completed


def test_a_write_that_fails_leaves_nothing_half_done(journal: Journal, assignment: Make) -> None:
    key = key_of(assignment())
    take(journal, assignment())
    journal.begin(key)

    def breaks(**stamp: Any) -> Completed:
        raise RuntimeError("no event")

    with pytest.raises(RuntimeError, match="no event"):
        journal.end(key, breaks, partial(StateReported, state="before"))
    assert kinds(told(journal)) == ["accepted", "state"]
    assert journal.end(key, Completed)
    assert [event["seq"] for event in told(journal)] == [1, 2, 3]


def test_only_the_last_ended_attempts_are_remembered(open_journal: Callable[..., Journal], assignment: Make) -> None:
    journal = open_journal(kept_attempts=10)
    for attempt in range(1, 31):
        take(journal, assignment(instance=f"i{attempt}"), refusal=Reason("no-runtime", ""))
        send_all(journal)
    assert take(journal, assignment(instance="i30")) is Taken.KNOWN
    assert take(journal, assignment(instance="i1")) is Taken.NEW


def test_an_ended_attempt_is_remembered_while_its_final_event_waits(
    open_journal: Callable[..., Journal], assignment: Make
) -> None:
    journal = open_journal(kept_attempts=10)
    for attempt in range(1, 31):
        take(journal, assignment(instance=f"i{attempt}"), refusal=Reason("no-runtime", ""))
    assert len(told(journal)) == 30
    assert take(journal, assignment(instance="i1")) is Taken.KNOWN
