"""Addresses, and what is read from records and live messages of servers of any version."""

from __future__ import annotations

from typing import Any

import pytest

from api.client import BadUse, LogLine, Reason
from api.client.events import change_from, log_entry_from, log_from, progress_from
from api.client.models import run_from, step_from, workflow_from
from api.client.rest import server_url
from api.client.socket import refusal_from

ID = "5f43a1c09b1e8a0001c0ffee"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:9999", "http://127.0.0.1:9999"),
        (" https://workty.example/ ", "https://workty.example"),
        ("https://workty.example/api/v1/", "https://workty.example"),
        ("https://example.com/workty/api/v1", "https://example.com/workty"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_address_is_taken_with_or_without_the_path_of_the_api(text: str, url: str) -> None:
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "workty.example", "ftp://a", "http://", "http://a:b", "http://a:99999", "http://u:p@a"),
        *("http://a?b=c", "http://a#b", "http://[a"),
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadUse, match="is no address of a server"):
        server_url(text)


def test_a_step_is_read_from_rest_and_from_live_messages_alike() -> None:
    reason = {"code": "exit", "message": "ended with 1", "returnCode": 1, "lastOutput": ["oh"]}
    common = {"name": "bake", "state": "failed", "attempt": 2, "progress": 0.5, "reason": reason}
    live = step_from({**common, "id": ID, "device": {"id": "b", "name": "kitchen"}})
    assert live == step_from({**common, "_id": ID, "board": {"_id": "b", "name": "kitchen"}})
    assert live.reason == Reason("exit", "ended with 1", 1, ("oh",))


def test_what_a_server_leaves_out_is_empty() -> None:
    run = run_from({"_id": ID})
    assert (run.id, run.state, run.board, run.waits_for, run.steps, run.ended) == (ID, "", "", None, (), False)
    assert workflow_from({"_id": ID, "worktiesInstancesIds": [ID]}).instances == ()


@pytest.mark.parametrize(
    ("entry", "seq", "lines"),
    [
        ({"_id": ID, "name": "bake", "lines": ["a", "b"]}, None, ["a", "b"]),
        ({"seq": 4, "instance": ID, "step": "bake", "lines": [{"at": "", "stream": "", "text": "a"}]}, 4, ["a"]),
        ({"logSeq": 4, "instanceId": ID, "name": "bake", "lines": [{"text": "a"}], "dropped": 0}, 4, ["a"]),
    ],
)
def test_an_entry_of_a_log_is_read_whether_its_lines_are_texts_or_records(
    entry: dict[str, Any], seq: int | None, lines: list[str]
) -> None:
    found = log_entry_from("r", entry | {"attempt": 1})
    assert (found.seq, found.step, found.step_name, found.attempt) == (seq, ID, "bake", 1)
    assert found.lines == tuple(LogLine("", "", text) for text in lines)


def test_live_messages_of_another_form_tell_nothing() -> None:
    for read in (change_from, progress_from, log_from):
        assert read({}) is None
        assert read({"run": 5, "worktyInstance": None, "workflow": []}) is None
    assert change_from({"workflow": {"id": ID, "deleted": True}}) is None


@pytest.mark.parametrize(
    ("told", "status", "code", "message"),
    [
        ({"err": {"statusCode": 500, "message": "no", "body": {"error": {"code": 19}}}}, 500, 19, "no"),
        ({"err": {"statusCode": 401, "message": "no", "body": {"error": {"code": ""}}}}, 401, None, "no"),
        ({"err": "?"}, 401, None, "what"),
        (None, 401, None, "what"),
    ],
)
def test_errors_of_the_live_api_are_read_as_far_as_they_go(
    told: object, status: int, code: int | None, message: str
) -> None:
    found = refusal_from(told, "what")
    assert (found.status, found.code, found.message) == (status, code, message)
