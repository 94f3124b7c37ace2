"""What the steps of a run wrote, over REST."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from tests.unit.api.runs import BOARD_TIME, Written, stored


@pytest.fixture
def written(world: Any, ann: Any) -> Written:
    """Six messages: three of each step, the last one of another attempt."""
    written = Written(world, ann)
    for number in range(1, 4):
        written.add(written.copy, f"copy {number}")
    written.add(written.send, "send 4", "send 4 too")
    written.add(written.send, dropped=7)
    written.add(written.send, "send 6", attempt=2)
    return written


def test_a_message_says_who_wrote_what_and_when(ann: Any, written: Written) -> None:
    messages = ann.get(f"/runs/{written.run}/log").get_json()
    line = {"at": BOARD_TIME, "stream": "stdout"}
    assert messages[3] == {
        "_id": messages[3]["_id"],
        "seq": 4,
        "instance": written.send.instance,
        "name": "send",
        "attempt": 1,
        "at": "2026-01-02T03:04:10.000Z",
        "lines": [line | {"text": "send 4"}, line | {"text": "send 4 too"}],
        "dropped": 0,
    }
    assert (messages[4]["lines"], messages[4]["dropped"]) == ([], 7)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"per_page": "2"}, [1, 2]),
        ({"per_page": "4", "page_num": "2"}, [5, 6]),
        ({"page_num": "2"}, []),
        ({"since": "4"}, [5, 6]),
        ({"since": "0"}, [1, 2, 3, 4, 5, 6]),
        ({"since": "1", "per_page": "2", "page_num": "2"}, [4, 5]),
        ({"since": "6"}, []),
        ({"since": "1", "seq": "3"}, [3]),
        ({"since": "3", "seq": "3"}, []),
        ({"sort": "-seq"}, [6, 5, 4, 3, 2, 1]),
        ({"sort": "-attempt"}, [6, 1, 2, 3, 4, 5]),
        ({"attempt": "2"}, [6]),
        ({"dropped": "7"}, [5]),
        ({"at": "2026-01-02T03:04:08Z"}, [2]),
        ({"instance": "5f" * 12}, []),
    ],
)
def test_messages_are_listed_as_everything_else(
    ann: Any, written: Written, query: dict[str, str], expected: list[int]
) -> None:
    answer = ann.get(f"/runs/{written.run}/log", **query, count="true")
    assert [message["seq"] for message in answer.get_json()] == expected
    assert answer.headers["Records-count"] == str(len(expected))


def test_messages_of_one_step_are_found(ann: Any, written: Written) -> None:
    found = ann.get(f"/runs/{written.run}/log", instance=written.send.instance, since="4").get_json()
    assert [(message["seq"], message["name"]) for message in found] == [(5, "send"), (6, "send")]


@pytest.mark.parametrize(
    "query", [{"since": "-1"}, {"since": "x"}, {"name": "copy"}, {"lines": "x"}, {"per_page": "251"}, {"attempt": "x"}]
)
def test_a_filter_that_cannot_be_is_refused_by_its_name(ann: Any, written: Written, query: dict[str, str]) -> None:
    answer = ann.get(f"/runs/{written.run}/log", **query)
    assert answer.status_code == 400
    assert next(iter(query)) in answer.get_json()["error"]["message"]


def test_since_is_a_parameter_of_logs_only(ann: Any) -> None:
    assert ann.get("/runs", since="1").status_code == 400


def test_fields_of_messages_are_chosen(ann: Any, written: Written) -> None:
    [first, *_] = ann.get(f"/runs/{written.run}/log", fields="seq,name").get_json()
    assert first == {"_id": first["_id"], "seq": 1, "name": "copy"}


def test_without_a_length_of_the_page_a_list_of_messages_ends_at_250(world: Any, ann: Any, written: Written) -> None:
    [model] = world.db["run_logs"].find({"seq": 1}, {"_id": False})
    world.db["run_logs"].insert_many([model | {"seq": seq, "boardSeq": seq} for seq in reversed(range(7, 301))])
    path = f"/runs/{written.run}/log"
    assert [message["seq"] for message in ann.get(path).get_json()] == list(range(1, 251))
    assert [message["seq"] for message in ann.get(path, since="250").get_json()] == list(range(251, 301))
    assert len(ann.get(path, page_num="2").get_json()) == 50


def test_a_log_is_two_queries(world: Any, ann: Any, written: Written) -> None:
    world.operations.clear()
    ann.get(f"/runs/{written.run}/log")
    own = [(collection, operation) for collection, operation in world.operations if collection.startswith("run")]
    assert own == [("runs", "find_one"), ("run_logs", "find")]


def test_the_log_of_another_account_does_not_exist_except_for_admins(
    world: Any, ann: Any, bob: Any, written: Written
) -> None:
    foreign = bob.get(f"/runs/{written.run}/log")
    unknown = bob.get(f"/runs/{ObjectId()}/log")
    for answer in (foreign, unknown):
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, 2)
    assert len(world.admin.get(f"/runs/{written.run}/log").get_json()) == 6


def test_a_run_that_wrote_nothing_has_an_empty_log(world: Any, ann: Any) -> None:
    run = stored(world, ann)
    assert ann.get(f"/runs/{run}/log").get_json() == []


def test_a_run_shows_the_last_twenty_lines_of_its_steps(world: Any, ann: Any, written: Written) -> None:
    written.add(written.send, *(f"line {number}" for number in range(1, 19)))
    tail = ann.get(f"/runs/{written.run}").get_json()["logTail"]
    assert [line["text"] for line in tail] == ["send 4 too", "send 6", *(f"line {number}" for number in range(1, 19))]
    assert tail[1] == {
        "instance": written.send.instance,
        "attempt": 2,
        "at": BOARD_TIME,
        "stream": "stdout",
        "text": "send 6",
    }


def test_the_last_lines_are_read_only_where_they_are_wanted(world: Any, ann: Any, written: Written) -> None:
    world.operations.clear()
    assert "logTail" not in ann.get(f"/runs/{written.run}", fields="-logTail").get_json()
    assert "logTail" not in ann.get("/runs").get_json()[0]
    assert ("run_logs", "find") not in world.operations


def test_the_lines_of_a_workflow_that_is_removed_stay_with_its_run(world: Any, ann: Any, written: Written) -> None:
    workflow = ann.post("/workflows", {"name": "nightly"}).get_json()["_id"]
    world.db["runs"].update_one({"_id": ObjectId(written.run)}, {"$set": {"workflowId": ObjectId(workflow)}})
    assert ann.delete(f"/workflows/{workflow}").status_code == 204
    assert len(ann.get(f"/runs/{written.run}/log").get_json()) == 6
