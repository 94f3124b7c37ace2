"""Who follows a run gets all of it, in order and nothing twice, whatever gets lost, repeated or late on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import ServerSelectionTimeoutError

from api.live import payloads
from api.live.follow import CHANGED, LOG, PROGRESS, SNAPSHOT
from api.live.outbox import Outbox
from api.live.sessions import Hub, Session, Transport
from orchestrator.accounts.account import Account
from orchestrator.accounts.peer import Peer
from orchestrator.live import LogWritten, ProgressMade, StepChange
from orchestrator.runs.replay import Replay

ACCOUNT, WORKFLOW, RUN, NEXT_RUN, INSTANCE = (f"{number:024x}" for number in range(1, 6))
NAMESPACE = f"/{ACCOUNT}_workflows"


def change(seq: int, run: str = RUN) -> StepChange:
    step = {
        "instance": INSTANCE, "workty": "w", "name": "copy", "desc": "", "state": "running", "properties": [],
        "attempt": 1, "progress": None, "reason": None, "board": None,
    }  # fmt: skip
    return StepChange(ACCOUNT, WORKFLOW, "nightly", "", run, seq, "running", None, None, step=step, completed=False)


def written(seq: int, run: str = RUN) -> LogWritten:
    return LogWritten(ACCOUNT, WORKFLOW, run, INSTANCE, 1, seq, [{"at": "now", "stream": "stdout", "text": str(seq)}])


@dataclass
class Books:
    """The history of a workflow's runs, as a database would have it."""

    changes_of: dict[str, list[StepChange]] = field(default_factory=dict)
    log_of: dict[str, list[LogWritten]] = field(default_factory=dict)
    kept_from: int = 1
    away: bool = False

    @property
    def run(self) -> str | None:
        return list(self.changes_of)[-1] if self.changes_of else None

    def changes(self, run: str, since: int | None) -> Replay | None:
        if self.away:
            raise ServerSelectionTimeoutError("gone")
        found = self.changes_of.get(run)
        if found is None:
            return None
        if since is None or since < self.kept_from - 1 or since > len(found):
            return Replay(len(found), None)
        return Replay(len(found), tuple(found[since:]))

    def log(self, run: str, since: int, limit: int) -> Sequence[LogWritten]:
        return self.log_of.get(run, [])[since : since + limit]

    def log_range(self, run: str) -> tuple[int, int]:
        return 1, len(self.log_of.get(run, []))

    def snapshot(self, workflow: str) -> payloads.Payload | None:
        run = self.run
        told = None if run is None else {"id": run, "state": "running", "seq": len(self.changes_of[run])}
        return {"id": workflow, "run": told, "worktiesInstances": []}


class Stage:
    """A session of a hub; messages are delivered to it as a test wants."""

    def __init__(self, asking: str = ACCOUNT, roles: frozenset[str] = frozenset()) -> None:
        self.books = Books()
        self.hub = Hub()
        self.outbox = Outbox()
        self.postponed: list[Callable[[], None]] = []
        account = Account(ObjectId(asking), "", "", roles, frozenset({("workflows", "view")}))
        self.session = Session(
            "sid",
            Transport("eio", self.outbox, None),
            f"/{asking}_workflows",
            "workflows",
            token="",
            account=account,
            peer=Peer("", False),
            history=self.books,
            beside=lambda session, catch_up: self.postponed.append(catch_up),
        )
        self.hub.join(self.session)

    def happens(self, run: str = RUN) -> StepChange:
        """A change of state is stored; nobody is told yet."""
        changes = self.books.changes_of.setdefault(run, [])
        changes.append(change(len(changes) + 1, run))
        return changes[-1]

    def writes(self, run: str = RUN) -> LogWritten:
        """A message of output is stored; nobody is told yet."""
        log = self.books.log_of.setdefault(run, [])
        log.append(written(len(log) + 1, run))
        return log[-1]

    def deliver(self, found: StepChange | LogWritten) -> None:
        """Tell it to this process."""
        if isinstance(found, LogWritten):
            self.hub.deliver(LOG, payloads.logged(found), NAMESPACE)
        else:
            self.hub.deliver(CHANGED, payloads.changed(found), NAMESPACE)

    def follow(self, since: int | None, log_since: int | None, run: str | None = None) -> None:
        self.session.follows.begin(
            WORKFLOW, run or self.books.run, named=run is not None, since=since, log_since=log_since
        )

    def catch_up(self) -> None:
        """What was to be done beside what happens is done now."""
        while self.postponed:
            self.postponed.pop(0)()

    def heard(self) -> list[tuple[str, Any]]:
        """What was sent since the last look: event, and number of a change or of a message of output."""
        found = []
        while not self.outbox.empty():
            packet = self.outbox.get()
            assert packet is not None
            text = packet.data
            event, payload = json.loads(text[text.index("[") :])
            found.append((event, _number(event, payload)))
        return found


def _number(event: str, payload: Mapping[str, Any]) -> Any:
    if event == CHANGED:
        return payload["workflow"]["run"]["seq"]
    if event == LOG:
        return payload["logSeq"]
    return payload["run"] and (payload["run"]["seq"], payload["run"].get("logSeq"))


def test_who_knows_a_change_gets_those_after_it_and_then_what_happens() -> None:
    stage = Stage()
    for _ in range(4):
        stage.happens()
    stage.writes()
    stage.follow(2, 0)
    assert stage.heard() == [(CHANGED, 3), (CHANGED, 4), (LOG, 1)]
    stage.deliver(stage.happens())
    stage.deliver(stage.writes())
    assert stage.heard() == [(CHANGED, 5), (LOG, 2)]


def test_who_knows_nothing_gets_a_snapshot_and_what_comes_after_it() -> None:
    stage = Stage()
    for _ in range(3):
        stage.happens()
    stage.writes()
    stage.follow(None, None)
    assert stage.heard() == [(SNAPSHOT, (3, 1))]
    stage.deliver(stage.happens())
    stage.deliver(stage.writes())
    assert stage.heard() == [(CHANGED, 4), (LOG, 2)]


def test_a_change_that_is_not_kept_any_more_means_a_snapshot_first() -> None:
    stage = Stage()
    for _ in range(9):
        stage.happens()
    stage.books.kept_from = 6
    stage.follow(3, 0)
    assert stage.heard() == [(SNAPSHOT, (9, 0))]
    stage.follow(5, 0)
    assert stage.heard() == [(CHANGED, 6), (CHANGED, 7), (CHANGED, 8), (CHANGED, 9)]


def test_all_output_comes_after_the_snapshot_if_it_is_asked_for() -> None:
    stage = Stage()
    stage.happens()
    for _ in range(3):
        stage.writes()
    stage.follow(None, 0)
    assert stage.heard() == [(SNAPSHOT, (1, 3)), (LOG, 1), (LOG, 2), (LOG, 3)]


def test_a_change_that_is_told_again_comes_once() -> None:
    stage = Stage()
    stage.happens()
    stage.follow(0, 0)
    assert stage.heard() == [(CHANGED, 1)]
    stage.deliver(change(1))
    second = stage.happens()
    stage.deliver(second)
    stage.deliver(second)
    assert stage.heard() == [(CHANGED, 2)]


def test_what_this_process_did_not_hear_of_is_read_before_what_comes_next() -> None:
    stage = Stage()
    stage.happens()
    stage.follow(1, 0)
    for _ in range(3):
        stage.happens()
        stage.writes()
    stage.deliver(stage.happens())
    stage.deliver(stage.happens())
    assert stage.heard() == []
    stage.catch_up()
    assert stage.heard() == [*((CHANGED, seq) for seq in (2, 3, 4, 5, 6)), *((LOG, seq) for seq in (1, 2, 3))]
    stage.deliver(stage.happens())
    assert stage.heard() == [(CHANGED, 7)]


def entered(seq: int, state: str | None, run: str = RUN) -> ProgressMade:
    return ProgressMade(ACCOUNT, WORKFLOW, run, seq, INSTANCE, "running", 1, 0.5, "", state, True)


def test_states_of_a_program_come_after_the_change_they_name_and_none_is_left_out_while_a_client_catches_up() -> None:
    stage = Stage()
    stage.happens()
    stage.follow(1, 0)
    stage.happens()

    def tell(made: ProgressMade) -> None:
        stage.hub.deliver(PROGRESS, payloads.progressed(made), NAMESPACE)

    for state in ("copying", "checking", None):
        tell(entered(2, state))
    assert stage.heard() == []
    stage.catch_up()
    tell(entered(2, "resting"))
    stage.deliver(stage.happens())
    tell(entered(2, "long over"))
    number = (2, None)
    assert stage.heard() == [(CHANGED, 2), *[(PROGRESS, number)] * 3, (CHANGED, 3)]


def test_after_the_broker_was_away_followers_get_what_was_told_meanwhile() -> None:
    stage = Stage()
    stage.happens()
    stage.follow(1, 0)
    stage.happens()
    stage.session.follows.recheck()
    stage.catch_up()
    assert stage.heard() == [(CHANGED, 2)]


def test_a_new_run_of_the_workflow_is_followed_from_its_first_change() -> None:
    stage = Stage()
    stage.happens()
    stage.follow(1, 0)
    first = stage.happens(NEXT_RUN)
    stage.deliver(first)
    stage.deliver(stage.writes(NEXT_RUN))
    stage.deliver(stage.happens(NEXT_RUN))
    assert stage.heard() == [(CHANGED, 1), (LOG, 1), (CHANGED, 2)]
    stage.deliver(change(1))
    assert stage.heard() == []


def test_who_follows_a_run_by_its_id_gets_no_output_of_the_next_one() -> None:
    stage = Stage()
    stage.happens()
    stage.follow(1, 0, run=RUN)
    stage.deliver(stage.happens(NEXT_RUN))
    stage.deliver(stage.writes(NEXT_RUN))
    assert stage.heard() == [(CHANGED, 1)]


def test_a_workflow_that_never_ran_is_followed_from_its_first_run_on() -> None:
    stage = Stage()
    stage.follow(None, None)
    assert stage.heard() == [(SNAPSHOT, None)]
    stage.deliver(stage.happens())
    stage.deliver(stage.writes())
    assert stage.heard() == [(CHANGED, 1), (LOG, 1)]


def test_who_does_not_follow_gets_changes_and_progress_but_no_output() -> None:
    stage = Stage()
    progress = payloads.progressed(ProgressMade(ACCOUNT, WORKFLOW, RUN, 1, INSTANCE, "running", 1, 0.5, ""))
    stage.deliver(stage.happens())
    stage.deliver(stage.writes())
    stage.hub.deliver(PROGRESS, progress, NAMESPACE)
    assert stage.heard() == [(CHANGED, 1), (PROGRESS, (1, None))]
    stage.follow(1, 1)
    stage.session.follows.end(WORKFLOW)
    stage.deliver(stage.writes())
    assert stage.heard() == []


def test_an_admin_hears_of_the_workflow_of_another_account_while_it_follows_it() -> None:
    stage = Stage(asking="a" * 24, roles=frozenset({"admin"}))
    stage.deliver(stage.happens())
    assert stage.heard() == []
    stage.follow(1, 0)
    stage.deliver(stage.happens())
    stage.deliver(stage.writes())
    assert stage.heard() == [(CHANGED, 2), (LOG, 1)]
    stage.session.follows.end(WORKFLOW)
    stage.deliver(stage.happens())
    assert stage.heard() == []


def test_who_cannot_follow_now_goes_on_hearing_what_everybody_hears() -> None:
    stage = Stage()
    stage.happens()
    stage.books.away = True
    with pytest.raises(ServerSelectionTimeoutError):
        stage.follow(0, 0)
    stage.deliver(stage.happens())
    assert stage.heard() == [(CHANGED, 2)]


def test_a_session_without_the_right_to_view_hears_nothing() -> None:
    stage = Stage()
    stage.session.account = replace(stage.session.account, allows=frozenset())
    stage.deliver(stage.happens())
    assert stage.heard() == []


def test_a_change_that_is_told_again_comes_once_also_to_who_does_not_follow() -> None:
    stage = Stage()
    first = stage.happens()
    stage.deliver(first)
    stage.deliver(first)
    stage.deliver(stage.happens())
    assert stage.heard() == [(CHANGED, 1), (CHANGED, 2)]


def test_messages_about_the_workflow_itself_pass_at_any_time() -> None:
    stage = Stage()
    stage.happens()
    stage.follow(1, 0)
    about = {"id": WORKFLOW, "name": "new", "run": {"id": RUN, "seq": 1}, "worktiesInstances": []}
    stage.hub.deliver(CHANGED, {"err": None, "workflow": about}, NAMESPACE)
    stage.hub.deliver(CHANGED, {"err": None, "workflow": {"id": WORKFLOW, "deleted": True}}, NAMESPACE)
    assert len([stage.outbox.get(), stage.outbox.get()]) == 2


class Storm:
    """A follower to whom things happen that get lost, come again, or have to wait."""

    def __init__(self) -> None:
        self.stage = stage = Stage()
        stage.happens()
        stage.follow(0, 0)
        self.known: dict[str, list[Any]] = {CHANGED: [], LOG: []}
        self.acts: dict[str, Callable[[], object]] = {
            "happens": lambda: stage.deliver(stage.happens()),
            "happens, and is lost": stage.happens,
            "is told again": lambda: stage.deliver(stage.books.changes_of[RUN][-1]),
            "writes": lambda: stage.deliver(stage.writes()),
            "writes, and it is lost": stage.writes,
            "catches up": stage.catch_up,
            "follows again": self.follow_again,
        }

    def listen(self) -> None:
        for event, number in self.stage.heard():
            self.known[event].append(number)

    def follow_again(self) -> None:
        self.listen()
        self.stage.follow(len(self.known[CHANGED]), len(self.known[LOG]))


@given(st.lists(st.sampled_from(sorted(Storm().acts))))
@settings(max_examples=200, deadline=None)
def test_whatever_gets_lost_or_repeated_everything_comes_once_and_in_order(acts: list[str]) -> None:
    storm = Storm()
    for act in [*acts, "happens", "writes", "catches up"]:
        storm.acts[act]()
    storm.listen()
    books = storm.stage.books
    assert storm.known[CHANGED] == [found.seq for found in books.changes_of[RUN]]
    assert storm.known[LOG] == [found.seq for found in books.log_of[RUN]]


def test_dates_of_a_replayed_change_are_those_of_the_first_telling() -> None:
    began = datetime(2026, 1, 2, tzinfo=UTC)
    told = payloads.changed(replace(change(1), started=began, finished=began))
    assert told["workflow"]["run"]["started"] == told["workflow"]["run"]["finished"] == "2026-01-02T00:00:00.000Z"
