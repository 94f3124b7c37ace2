"""A run is followed over gaps, lost connections and servers that do not know how; the server is a stand-in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from api.client import (
    Connection,
    Event,
    Following,
    LogLine,
    LogLines,
    NotReachable,
    Progress,
    Refused,
    Run,
    Step,
    StepChanged,
)
from api.client.following import Source
from api.client.socket import ANSWER, LOST, Message

RUN, WORKFLOW, STEP = "r" * 24, "w" * 24, "s" * 24
Answer = Callable[[Mapping[str, Any]], list[Message]]


def a_run(state: str = "running", step: str = "running", run: str = RUN) -> Run:
    return Run(run, WORKFLOW, "nightly", 1, state, "", None, None, "", None, (Step(STEP, "bake", step, 1),))


def changed(seq: int, state: str = "running", run_state: str = "running", run: str = RUN) -> Message:
    instance = {"id": STEP, "name": "bake", "state": state, "attempt": 1}
    workflow = {"id": WORKFLOW, "run": {"id": run, "seq": seq, "state": run_state}, "worktyInstance": instance}
    return Message("sv.workflow.changed", {"err": None, "workflow": workflow})


def ended(seq: int, run: str = RUN) -> Message:
    return changed(seq, "completed", "completed", run)


def progressed(seq: int) -> Message:
    instance = {"id": STEP, "state": "running", "attempt": 1, "progress": 0.5, "message": "half"}
    payload = {"workflow": {"id": WORKFLOW}, "run": {"id": RUN, "seq": seq}, "worktyInstance": instance}
    return Message("sv.workflow.progress", payload)


def logged(seq: int) -> Message:
    payload = {"workflow": {"id": WORKFLOW}, "run": {"id": RUN}, "worktyInstance": {"id": STEP, "attempt": 1}}
    lines = [{"at": "", "stream": "stdout", "text": f"line {seq}"}]
    return Message("sv.workflow.log", payload | {"logSeq": seq, "lines": lines})


def snapshot(seq: int, state: str, run_state: str, log_seq: int = 0, latest: str = RUN) -> Message:
    workflow = {
        "id": WORKFLOW,
        "run": {"id": latest, "state": run_state, "seq": seq},
        "worktiesInstances": [{"id": STEP, "name": "bake", "state": state, "attempt": 1}],
    }
    run = {"id": RUN, "seq": seq, "logSeq": log_seq}
    return Message("sv.workflow.snapshot", {"workflow": workflow, "run": run})


def replay(*messages: Message) -> Answer:
    """Answers `follow` with these messages and an acknowledgement."""
    return lambda _: [*messages, Message(ANSWER, {"err": None})]


def refusal(code: int | str, status: int = 500) -> Answer:
    err = {"statusCode": status, "message": "no", "body": {"error": {"code": code}}}
    return lambda _: [Message(ANSWER, {"err": err})]


#: What `StandIn.next` meets on its way: nothing for as long as it waits; nothing right now, but for those who wait.
SILENCE, NOT_YET = Message("silence", None), Message("not yet", None)


def silence(_: object) -> list[Message]:
    return [SILENCE]


class StandIn:
    """A connection on which these messages come, answers before them, and which is lost when all were read."""

    def __init__(self, *messages: Message, answers: tuple[Answer, ...] = ()) -> None:
        self._messages = deque(messages)
        self._answers = deque(answers)
        self.asked: list[Mapping[str, Any]] = []
        self.open = True
        self.overflowed = False

    def ask(self, event: str, payload: Mapping[str, Any]) -> int:
        assert event == "sv.workflow.follow"
        self.asked.append(payload)
        answer = self._answers.popleft() if self._answers else silence
        number = len(self.asked)
        told = [Message(m.event, m.payload, number) if m.event == ANSWER else m for m in answer(payload)]
        self._messages.extendleft(reversed(told))
        return number

    def next(self, seconds: float) -> Message | None:
        """Like the real one, but never waits."""
        waits = seconds > 0
        if waits and self._messages and self._messages[0] is NOT_YET:
            self._messages.popleft()
        if not self._messages:
            self.open = self.open and not waits
            return None
        if self._messages[0] is SILENCE:
            if waits:
                self._messages.popleft()
            return None
        message = self._messages.popleft()
        self.open = message.event != LOST
        return None if message is NOT_YET else message

    def close(self) -> None:
        self.open = False


def following(
    *connections: StandIn | Exception,
    runs: tuple[Run | None, ...] = (a_run(),),
    run: str | None = RUN,
    logs: bool = False,
    log: tuple[LogLines, ...] = (),
) -> Following:
    """A following over these connections; `runs` are what REST says, one after another."""
    left, states = deque(connections), deque(runs)

    def connect() -> Any:
        found = left.popleft()
        if isinstance(found, Exception):
            raise found
        return found

    def read(*_: object) -> Any:
        return states.popleft() if len(states) > 1 else states[0]

    def read_log(_: str, since: int) -> Iterator[LogLines]:
        return (entry for entry in log if entry.seq is None or entry.seq > since)

    return Following(Source(connect, read, read, read_log), WORKFLOW, run, logs=logs)


def events_of(followed: Following) -> list[Event]:
    with followed as events:
        return list(events)


def outline(events: list[Event]) -> list[str]:
    """The events in short."""

    def short(event: Event) -> str:
        match event:
            case StepChanged():
                return f"{event.seq}{'s' if event.snapshot else ''} {event.step.state}"
            case Progress():
                return f"{event.progress:.0%}"
            case LogLines():
                return " ".join(line.text for line in event.lines)
            case Connection():
                return "live" if event.live else "lost"

    return [short(event) for event in events]


def entry(seq: int | None) -> LogLines:
    return LogLines(RUN, seq, STEP, "bake", 1, (LogLine("", "stdout", f"line {seq}"),))


def test_what_was_before_is_replayed_and_what_comes_is_told_live_until_the_run_ends() -> None:
    connection = StandIn(progressed(2), ended(3), changed(4), answers=(replay(changed(1, "waiting"), changed(2)),))
    assert outline(events_of(following(connection))) == ["1 waiting", "2 running", "50%", "3 completed"]
    assert connection.asked == [{"workflow": {"id": WORKFLOW}, "run": {"id": RUN}, "since": 0, "logSince": 0}]


def test_live_messages_that_overtake_the_replay_wait_for_it_and_none_is_told_twice() -> None:
    answer = replay(changed(2), changed(1, "waiting"), changed(2), ended(3))
    assert outline(events_of(following(StandIn(answers=(answer,))))) == ["1 waiting", "2 running", "3 completed"]


def test_a_snapshot_tells_how_things_are_and_the_replay_goes_on_after_it() -> None:
    answer = replay(snapshot(7, "running", "running"), changed(6, "waiting"), ended(8))
    assert outline(events_of(following(StandIn(answers=(answer,))))) == ["7s running", "8 completed"]


def test_a_snapshot_of_a_workflow_that_ran_again_since_is_completed_over_rest() -> None:
    answer = replay(snapshot(7, "initial", "waiting", latest="x" * 24))
    followed = following(StandIn(answers=(answer,)), runs=(a_run(), a_run("stopped", "stopped")))
    assert outline(events_of(followed)) == ["7s stopped"]


def test_a_gap_is_filled_by_following_again_from_the_last_that_was_told() -> None:
    connection = StandIn(changed(3), answers=(replay(changed(1, "waiting")), replay(changed(2), changed(3), ended(4))))
    assert outline(events_of(following(connection))) == ["1 waiting", "2 running", "3 running", "4 completed"]
    assert [question["since"] for question in connection.asked] == [0, 1]


def test_rest_is_asked_anew_while_changes_come_in_so_that_it_is_not_older_than_they_are() -> None:
    connection = StandIn(changed(4), NOT_YET, NOT_YET, ended(5), answers=(silence,))
    followed = following(connection, runs=(a_run("waiting", "waiting"), a_run("waiting", "waiting"), a_run()))
    assert outline(events_of(followed)) == ["4s running", "5 completed"]


def test_a_gap_that_the_server_cannot_fill_is_passed_over() -> None:
    connection = StandIn(ended(9), answers=(replay(changed(1)), replay(), replay(), replay()))
    assert outline(events_of(following(connection))) == ["1 running", "9 completed"]
    assert len(connection.asked) == 4


def test_after_a_lost_connection_it_asks_for_what_came_since_and_says_when_it_is_not_live() -> None:
    first = StandIn(changed(2), Message(LOST, None), answers=(replay(changed(1, "waiting")),))
    second = StandIn(answers=(replay(changed(3), ended(4)),))
    told = outline(events_of(following(first, NotReachable("url", "away"), second)))
    assert told == ["1 waiting", "2 running", "lost", "3 running", "4 completed", "live"]
    assert second.asked[0]["since"] == 2


def test_a_connection_lost_in_the_middle_of_a_replay_tells_the_rest_after_the_next_one() -> None:
    first = StandIn(answers=(lambda _: [changed(1, "waiting"), changed(3), Message(LOST, None)],))
    second = StandIn(answers=(replay(changed(2), changed(3), ended(4)),))
    told = outline(events_of(following(first, second)))
    assert [text for text in told if text[0].isdigit()] == ["1 waiting", "2 running", "3 running", "4 completed"]
    assert second.asked[0]["since"] == 1


@pytest.mark.parametrize("answer", [silence, refusal(19)])
def test_of_a_server_that_does_not_know_how_rest_tells_how_things_are_and_the_rest_is_live(answer: Answer) -> None:
    connection = StandIn(NOT_YET, changed(5, "running"), ended(6), answers=(answer,))
    assert outline(events_of(following(connection))) == ["Nones running", "6 completed"]


def test_of_a_server_that_does_not_know_how_a_run_that_ended_before_is_told_over_rest() -> None:
    followed = following(StandIn(), runs=(a_run("failed", "failed"),))
    assert outline(events_of(followed)) == ["Nones failed"]


def test_a_silence_makes_it_look_over_rest_whether_something_was_missed() -> None:
    followed = following(StandIn(SILENCE, answers=(silence,)), runs=(a_run(), a_run(), a_run("completed", "completed")))
    assert outline(events_of(followed)) == ["Nones running", "Nones completed"]


def test_a_run_that_may_not_be_followed_is_an_error() -> None:
    with pytest.raises(Refused) as refused:
        events_of(following(StandIn(answers=(refusal(2, 404),))))
    assert (refused.value.status, refused.value.code) == (404, 2)


def test_a_token_that_ends_is_an_error() -> None:
    ending = Message("unauthorized", {"message": "The token was revoked"})
    with pytest.raises(Refused, match="The token was revoked") as refused:
        events_of(following(StandIn(ending, answers=(replay(changed(1)),))))
    assert refused.value.status == 401


def test_a_token_that_ended_while_not_connected_is_an_error() -> None:
    first = StandIn(Message(LOST, None), answers=(replay(changed(1)),))
    with pytest.raises(Refused, match="unauthorized"):
        events_of(following(first, Refused(401, None, "unauthorized")))


def test_without_a_run_the_next_one_that_starts_is_followed_from_its_first_change_on() -> None:
    new = "n" * 24
    connection = StandIn(changed(9, run=RUN), changed(1, "waiting", run=new), ended(2, run=new), changed(3, run=new))
    runs = (a_run("completed", "completed"), a_run(run=new))
    assert outline(events_of(following(connection, run=None, runs=runs))) == ["1 waiting", "2 completed"]
    assert connection.asked == []


def test_without_a_run_the_active_one_is_followed() -> None:
    connection = StandIn(answers=(replay(changed(1), ended(2)),))
    assert outline(events_of(following(connection, run=None))) == ["1 running", "2 completed"]


def test_without_any_run_yet_the_first_one_is_followed() -> None:
    connection = StandIn(changed(4), ended(5), answers=(replay(*map(changed, (1, 2, 3))),))
    followed = following(connection, run=None, runs=(None, a_run()))
    assert outline(events_of(followed)) == ["1 running", "2 running", "3 running", "4 running", "5 completed"]


def test_log_lines_come_in_order_once_and_the_last_ones_also_after_the_end() -> None:
    answer = replay(logged(1), changed(1), logged(2))
    connection = StandIn(logged(2), ended(2), logged(3), answers=(answer,))
    told = outline(events_of(following(connection, logs=True, log=(entry(3), entry(4)))))
    assert told == ["line 1", "1 running", "line 2", "2 completed", "line 3", "line 4"]


def test_lines_that_a_snapshot_leaves_out_are_read_over_rest() -> None:
    answer = replay(snapshot(5, "running", "running", log_seq=3), logged(4), ended(6))
    told = outline(events_of(following(StandIn(answers=(answer,)), logs=True, log=(entry(2), entry(3), entry(None)))))
    assert told == ["5s running", "line 2", "line 3", "line 4", "6 completed"]


def test_messages_about_other_runs_and_other_changes_of_the_workflow_tell_nothing() -> None:
    renamed = changed(2)
    renamed.payload["workflow"]["worktiesInstances"] = []
    odd = [
        Message("sv.workflow.changed", payload) for payload in ({}, None, {"workflow": {"id": WORKFLOW, "run": None}})
    ]
    connection = StandIn(renamed, *odd, changed(2, run="x" * 24), ended(2), answers=(replay(changed(1)),))
    assert outline(events_of(following(connection))) == ["1 running", "2 completed"]


def test_messages_that_were_dropped_are_asked_for_again() -> None:
    connection = StandIn(changed(2), progressed(3), ended(4), answers=(replay(changed(1)), replay(changed(3))))
    connection.overflowed = True
    assert outline(events_of(following(connection))) == ["1 running", "2 running", "3 running", "50%", "4 completed"]


def test_leaving_disconnects_and_ends_the_events() -> None:
    connection = StandIn(changed(2), changed(3), answers=(replay(changed(1)),))
    with following(connection) as events:
        first = next(iter(events))
    assert outline([first]) == ["1 running"]
    assert not connection.open
