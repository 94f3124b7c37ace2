"""Lines of output in the database: numbered without gaps, stored once, bounded, and read in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import BulkWriteError

from orchestrator.database import create_indexes
from orchestrator.embedded import embedded_database
from orchestrator.live import LogWritten
from orchestrator.runs.logs import MAX_MESSAGES, MAX_RUN_BYTES, RunLogs
from orchestrator.runs.store import Origin, OriginStep
from workties.messages import Log, LogLine

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INSTANCE, OTHER, BOARD = "1e" * 12, "2e" * 12, "7e" * 12


class Writer:
    """The log of one run on an embedded database; `before` happens once before the next operation of that name."""

    def __init__(self) -> None:
        self.operations: list[tuple[str, str]] = []
        self.before: dict[str, Callable[[], object]] = {}
        self.db = embedded_database(observe=self._observed)
        create_indexes(self.db)
        self.logs = RunLogs(self.db)
        self.origin = origin()
        self.id = str(self.origin.id)
        self.operations.clear()

    def add(self, *messages: Log, logs: RunLogs | None = None) -> list[LogWritten]:
        return (logs or self.logs).add(self.origin, messages, NOW, NOW + timedelta(days=30))

    def texts(self) -> list[str]:
        return texts(self.logs.after(self.id, 0, 0))

    def dropped(self) -> list[int]:
        return [found["dropped"] for found in self.db["run_logs"].find({}, sort=[("seq", 1)])]

    def _observed(self, collection: str, operation: str) -> None:
        self.operations.append((collection, operation))
        self.before.pop(operation, lambda: None)()


@pytest.fixture
def writer() -> Writer:
    return Writer()


def origin() -> Origin:
    steps = {INSTANCE: OriginStep(1, BOARD), OTHER: OriginStep(1, BOARD)}
    return Origin(ObjectId(), ObjectId(), ObjectId(), steps, frozenset({BOARD}))


def message(seq: int, *lines: str, instance: str = INSTANCE, attempt: int = 1, dropped: int = 0) -> Log:
    return Log(
        id=f"{instance}.{attempt}.{seq}",
        at="2026-01-01T00:00:00Z",
        board=BOARD,
        run="unread",
        instance=instance,
        attempt=attempt,
        seq=seq,
        lines=tuple(LogLine("2026-01-01T00:00:01Z", "stdout", text) for text in lines or (f"line {seq}",)),
        dropped=dropped,
    )


def texts(written: Iterable[LogWritten]) -> list[str]:
    return [line["text"] for message in written for line in message.lines]


def test_messages_are_numbered_from_one_without_gaps_a_run(writer: Writer) -> None:
    other = writer.origin
    assert [written.seq for written in writer.add(message(2), message(5))] == [1, 2]
    assert [written.seq for written in writer.add(message(7))] == [3]
    writer.origin = origin()
    assert [written.seq for written in writer.add(message(2))] == [1]
    assert writer.logs.last_seq(str(other.id)) == 3
    assert writer.logs.oldest_seq(str(other.id)) == 1


def test_a_batch_of_a_run_is_one_read_and_one_write(writer: Writer) -> None:
    writer.add(message(1))
    writer.operations.clear()
    writer.add(*(message(seq) for seq in range(2, 52)))
    assert writer.operations == [("run_logs", "find_one"), ("run_logs", "insert_many")]


def test_what_is_written_is_told_with_all_that_a_follower_needs(writer: Writer) -> None:
    [written] = writer.add(message(4, "one", "two"))
    line = {"at": "2026-01-01T00:00:01Z", "stream": "stdout"}
    assert written == LogWritten(
        account=str(writer.origin.account),
        workflow=str(writer.origin.workflow),
        run=writer.id,
        instance=INSTANCE,
        attempt=1,
        seq=1,
        lines=[line | {"text": "one"}, line | {"text": "two"}],
    )
    assert writer.logs.after(writer.id, 0, 10) == [written]


def test_messages_of_an_attempt_that_come_together_are_ordered_as_their_board_numbered_them(writer: Writer) -> None:
    writer.add(message(3), message(9, instance=OTHER), message(2), message(8, instance=OTHER))
    assert writer.texts() == ["line 2", "line 3", "line 8", "line 9"]


def test_a_message_that_comes_again_is_stored_once_and_keeps_its_number(writer: Writer) -> None:
    first = writer.add(message(1), message(2))
    again = writer.add(message(2), message(3), message(1))
    assert [(written.seq, texts([written])) for written in again] == [(1, ["line 1"]), (2, ["line 2"]), (3, ["line 3"])]
    assert again[:2] == first
    assert writer.texts() == ["line 1", "line 2", "line 3"]


def test_a_message_that_is_twice_in_a_batch_is_stored_once(writer: Writer) -> None:
    assert [written.seq for written in writer.add(message(1), message(1))] == [1]
    assert writer.texts() == ["line 1"]


def test_the_same_number_of_another_attempt_or_step_is_another_message(writer: Writer) -> None:
    writer.add(message(1), message(1, attempt=2), message(1, instance=OTHER))
    assert writer.logs.last_seq(writer.id) == 3


def test_who_finds_its_number_taken_takes_the_next_one(writer: Writer) -> None:
    writer.before["insert_many"] = lambda: writer.add(message(1, instance=OTHER), message(2, instance=OTHER))
    written = writer.add(message(11), message(12))
    assert [(one.instance, one.seq) for one in written] == [(INSTANCE, 3), (INSTANCE, 4)]


def test_who_stores_what_another_one_stores_meanwhile_stores_only_the_rest(writer: Writer) -> None:
    writer.before["insert_many"] = lambda: writer.add(message(2))
    assert [written.seq for written in writer.add(message(1), message(2), message(3))] == [1, 2, 3]
    assert sorted(writer.texts()) == ["line 1", "line 2", "line 3"]


def test_many_writers_at_once_leave_no_gap_and_lose_nothing(writer: Writer) -> None:
    def write(number: int) -> None:
        logs = RunLogs(writer.db)
        for seq in range(1, 11):
            writer.add(message(seq, f"{number} {seq}", attempt=number), message(100 + seq, attempt=number), logs=logs)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(1, 5)))
    stored = writer.logs.after(writer.id, 0, 0)
    assert [one.seq for one in stored] == list(range(1, 81))
    for number in range(1, 5):
        own = [text for text in texts(stored) if text.startswith(f"{number} ")]
        assert own == [f"{number} {seq}" for seq in range(1, 11)]


def test_an_error_that_is_no_race_is_raised(writer: Writer) -> None:
    def refuse(*_: Any) -> None:
        raise BulkWriteError({"writeErrors": [{"index": 0, "code": 121}], "writeConcernErrors": []})

    writer.before["insert_many"] = refuse
    with pytest.raises(BulkWriteError):
        writer.add(message(1))


@pytest.mark.parametrize("beaten", [[], [{"index": 0, "code": 11000}]])
def test_a_write_that_no_majority_confirmed_is_raised(writer: Writer, beaten: list[Any]) -> None:
    def unconfirmed(*_: Any) -> None:
        raise BulkWriteError({"writeErrors": beaten, "writeConcernErrors": [{"code": 64}]})

    writer.before["insert_many"] = unconfirmed
    with pytest.raises(BulkWriteError):
        writer.add(message(1))


# --- bounds


def fill(writer: Writer) -> int:
    """Write until a run has as many bytes as it may have; returns how many messages that took."""
    lines = ["x" * 2000] * 30
    count = MAX_RUN_BYTES // (30 * 2064)
    writer.add(*(message(seq, *lines) for seq in range(1, count + 1)))
    assert writer.logs.last_seq(writer.id) == count
    return count


def test_beyond_its_bytes_a_run_keeps_a_last_message_that_counts_what_was_dropped(writer: Writer) -> None:
    count = fill(writer)
    last = writer.add(*(message(seq, *["y" * 2000] * 30, dropped=1) for seq in range(1001, 1004)))
    assert [(one.seq, one.lines[0]["stream"]) for one in last] == [(count + 1, "log")]
    assert "What was written from here on was dropped" in texts(last)[0]
    assert writer.dropped()[-1] == 3 * 31
    assert writer.add(message(2000, "a", "b")) == []
    assert writer.dropped()[-1] == 3 * 31 + 2
    assert writer.logs.last_seq(writer.id) == count + 1


def test_what_a_full_log_has_already_is_not_counted_as_dropped(writer: Writer) -> None:
    count = fill(writer)
    big = message(1001, *["y" * 2000] * 30)
    writer.add(big)
    again = writer.add(message(count), message(1002))
    assert [one.seq for one in again] == [count]
    assert writer.dropped()[-1] == 31


def test_a_run_keeps_a_bounded_number_of_messages(writer: Writer) -> None:
    writer.add(message(1))
    writer.db["run_logs"].update_one({}, {"$set": {"seq": MAX_MESSAGES - 2}})
    written = writer.add(message(2), message(3), message(4))
    assert [one.seq for one in written] == [MAX_MESSAGES - 1, MAX_MESSAGES]
    assert "10000 messages" in texts(written)[-1]
    assert writer.dropped()[-1] == 2
    assert writer.add(message(5)) == []


def test_empty_lines_have_a_size_too(writer: Writer) -> None:
    writer.add(message(1))
    writer.db["run_logs"].update_one({}, {"$set": {"size": MAX_RUN_BYTES - 640}})
    assert texts(writer.add(message(2, *[""] * 10))) == [""] * 10
    assert "dropped" in texts(writer.add(message(3, "")))[0]


def test_a_board_that_claims_to_have_dropped_everything_is_not_believed_forever(writer: Writer) -> None:
    writer.add(message(1, dropped=2**53), message(2, dropped=5))
    assert writer.dropped() == [10**9, 5]


# --- reading


def test_messages_after_a_number_are_read_in_order_and_in_parts(writer: Writer) -> None:
    writer.add(*(message(seq) for seq in range(1, 8)))
    assert [one.seq for one in writer.logs.after(writer.id, 3, 2)] == [4, 5]
    assert [one.seq for one in writer.logs.after(writer.id, 5, 100)] == [6, 7]
    assert writer.logs.after(writer.id, 7, 100) == []


def test_a_log_whose_oldest_messages_are_gone_says_where_it_begins(writer: Writer) -> None:
    writer.add(*(message(seq) for seq in range(1, 8)))
    writer.db["run_logs"].delete_many({"seq": {"$lt": 4}})
    assert (writer.logs.oldest_seq(writer.id), writer.logs.last_seq(writer.id)) == (4, 7)
    assert [one.seq for one in writer.add(message(8))] == [8]


@pytest.mark.parametrize("run", ["5f" * 12, "malformed"])
def test_a_run_without_lines_has_an_empty_log(writer: Writer, run: str) -> None:
    assert (writer.logs.oldest_seq(run), writer.logs.last_seq(run), writer.logs.after(run, 0, 10)) == (0, 0, [])


def test_the_last_lines_are_read_across_messages_that_have_few_or_none(writer: Writer) -> None:
    writer.add(message(1, "a", "b", "c"), message(2, "d"))
    writer.add(*(Log(**fields(message(seq)), lines=(), dropped=4) for seq in range(3, 8)))
    writer.add(message(8, "e", instance=OTHER, attempt=3))
    tail = writer.logs.tail(writer.origin.id, 4)
    assert [(line["text"], str(line["instance"]), line["attempt"]) for line in tail] == [
        ("b", INSTANCE, 1),
        ("c", INSTANCE, 1),
        ("d", INSTANCE, 1),
        ("e", OTHER, 3),
    ]


def test_messages_are_forgotten_when_their_time_has_come(writer: Writer) -> None:
    writer.add(message(1))
    found = writer.db["run_logs"].find_one({})
    assert found is not None
    assert found["expires"] == NOW + timedelta(days=30)
    indexes = writer.db["run_logs"].index_information()
    assert indexes["expiry"]["key"] == [("expires", 1)]


def fields(log: Log) -> dict[str, Any]:
    return {name: getattr(log, name) for name in ("id", "at", "board", "run", "instance", "attempt", "seq")}
