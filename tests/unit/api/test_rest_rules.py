"""Rules that hold for all endpoints: parameters, bodies, headers, errors, and the order of checks."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from api.rest.errors import failure_of
from orchestrator.errors import StateForbids

UNKNOWN = "5f" * 12


def message(answer: Any) -> str:
    return str(answer.get_json()["error"]["message"])


def code(answer: Any) -> Any:
    return answer.get_json()["error"]["code"]


def named(client: Any, *names: str) -> list[str]:
    return [client.post("/workflows", {"name": name}).get_json()["_id"] for name in names]


def test_an_error_has_code_link_message_and_what_was_sent(ann: Any) -> None:
    answer = ann.get(f"/workflows/{UNKNOWN}", embed="account")
    assert answer.status_code == 404
    assert answer.get_json() == {
        "error": {
            "code": 2,
            "error_link": "http://127.0.0.1:9999/errors/v1/2",
            "message": "The entity was not found",
            "inputParameters": {"id": UNKNOWN, "embed": "account"},
        }
    }


def test_an_error_without_code_links_its_status_and_never_repeats_secrets(ann: Any) -> None:
    body = {"accountId": "a", "password": "p", "compressedCode": "c", "Authorization": "z", "kept": [{"password": 1}]}
    answer = ann.post("/workflows", body)
    assert answer.status_code == 409
    error = answer.get_json()["error"]
    assert error["code"] == ""
    assert error["error_link"].endswith("/v1/409")
    assert error["message"] == "Validation Error"
    assert error["inputParameters"] == {"kept": [{}]}
    assert error["errors"] == [{"message": "Path `name` is required."}]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PATCH", "/workflows", 405), ("DELETE", "/workflows", 405), ("GET", "/tokens", 405)],
)
def test_unknown_paths_and_methods_are_errors_as_all_others(ann: Any, method: str, path: str, status: int) -> None:
    answer = ann.send(method, path)
    assert answer.status_code == status
    assert answer.get_json()["error"]["error_link"].endswith(f"/v1/{status}")
    assert message(answer)


@pytest.mark.parametrize("authorization", [None, "Basic bm9ib2R5", "Basic ???", "Bearer nothing", "Digest x", "junk"])
def test_without_valid_credentials_nothing_is_told(world: Any, authorization: str | None) -> None:
    client = world.client()
    client.authorization = authorization
    answer = client.get("/workflows")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert message(answer) == message(world.client("ann@mail", "wrong").get("/accounts/1"))


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"{}", None),
        (b"{}", "text/plain"),
        (b"{}", "application/x-www-form-urlencoded"),
        (b"", None),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"1", "application/json"),
        (b'{"name": NaN}', "application/json"),
        (b'{"name": "x", "size": -1e999}', "application/json"),
        (b'{"name": "\xff"}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"n":' + b"1" * 5000 + b"}", "application/json"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(ann: Any, data: bytes, content_type: str | None) -> None:
    answer = ann.send("POST", "/workflows", data=data, content_type=content_type)
    assert answer.status_code == 400
    assert code(answer) == ""
    assert ann.get("/workflows").get_json() == []


def test_a_charset_is_allowed_and_an_empty_body_is_an_empty_object(ann: Any) -> None:
    kind = "application/json; charset=utf-8"
    assert ann.send("POST", "/workflows", data='{"name": "ä"}', content_type=kind).get_json()["name"] == "ä"
    assert ann.send("POST", "/workflows", data=b"", content_type="application/json").status_code == 409


def test_a_body_of_more_than_16_mib_is_too_large(ann: Any) -> None:
    answer = ann.send("POST", "/workflows", data=b" " * (16 * 1024 * 1024 + 1), content_type="application/json")
    assert (answer.status_code, code(answer)) == (413, 16)


def test_query_wins_over_body_and_path_over_both(ann: Any) -> None:
    created = ann.post("/workflows", {"name": "body", "desc": "body"}, query_string={"name": "query"}).get_json()
    assert (created["name"], created["desc"]) == ("query", "body")
    answer = ann.put(f"/workflows/{created['_id']}/worktiesInstances/{UNKNOWN}/properties/{UNKNOWN}", {"id": UNKNOWN})
    assert answer.get_json()["error"]["inputParameters"]["id"] == created["_id"]


def test_an_embed_may_come_in_the_body(world: Any, ann: Any) -> None:
    [workflow] = named(ann, "w")
    body = {"worktyId": world.template("without-delay"), "embed": "STATE, unknown"}
    assert ann.post(f"/workflows/{workflow}/worktiesInstances", body).get_json()["stateId"]["name"] == "initial"
    assert ann.post(f"/workflows/{workflow}/worktiesInstances", body | {"embed": ["state"]}).status_code == 400


def test_read_only_and_unknown_fields_are_ignored(ann: Any) -> None:
    sent = {"name": "w", "_id": UNKNOWN, "id": UNKNOWN, "accountId": UNKNOWN, "created": "x", "runId": "y", "other": 1}
    created = ann.post("/workflows", sent).get_json()
    assert UNKNOWN not in created.values()
    assert list(created) == ["_id", "name", "desc", "accountId", "worktiesInstancesIds", "created"]
    assert created["created"] == "2026-01-02T03:04:05.000Z"


@pytest.mark.parametrize(
    "version", ["2016.10.1", "2016-10-01", "2016.3.1", "20161001", "~2016.10.1", "^2016-1-1", ">=2015.1.1", "*", " * "]
)
def test_a_version_up_to_the_current_one_is_served(ann: Any, version: str) -> None:
    assert ann.send("GET", "/workflows", headers={"accept-version": version}).status_code == 200


@pytest.mark.parametrize("version", ["2016.10.2", "2017-01-01", "1", "latest", "", "2016.13.1", "~2017.1.1"])
def test_another_version_is_refused_by_name(ann: Any, version: str) -> None:
    answer = ann.send("GET", "/workflows", headers={"accept-version": version})
    assert answer.status_code == 400
    assert "accept-version" in message(answer)


def test_a_post_can_stand_for_put_and_delete_and_nothing_else_can(ann: Any) -> None:
    [workflow] = named(ann, "w")
    paused = ann.send("POST", f"/workflows/{workflow}/pausing", headers={"X-HTTP-Method-Override": "put"})
    assert paused.status_code == 200
    ignored = ann.send("GET", f"/workflows/{workflow}", headers={"X-HTTP-Method-Override": "DELETE"})
    assert ignored.status_code == 200
    other = ann.send("POST", f"/workflows/{workflow}", headers={"X-HTTP-Method-Override": "GET"})
    assert other.status_code == 405
    deleted = ann.send("POST", f"/workflows/{workflow}", headers={"X-HTTP-Method-Override": "DELETE"})
    assert deleted.status_code == 204
    assert ann.get("/workflows").get_json() == []


def test_answers_are_indented_unless_told_otherwise(ann: Any) -> None:
    named(ann, "w")
    assert "\n  " in ann.get("/workflows").get_data(as_text=True)
    assert ann.get("/workflows", pretty="false").get_data(as_text=True).count("\n") == 1
    assert ann.get(f"/workflows/{UNKNOWN}", pretty="false").get_data(as_text=True).count("\n") == 1
    assert "\n  " in ann.get("/workflows", pretty="no").get_data(as_text=True)


def test_long_answers_are_compressed_for_clients_that_take_it(ann: Any) -> None:
    named(ann, *"abcdefghij")
    answer = ann.send("GET", "/workflows", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(answer.data))) == 10
    assert "Content-Encoding" not in ann.get("/workflows").headers


def test_fields_are_chosen_or_left_out_and_the_id_always_comes_along(ann: Any) -> None:
    [workflow] = named(ann, "w")
    path = f"/workflows/{workflow}"
    assert ann.get(path, fields="name, nothing").get_json() == {"_id": workflow, "name": "w"}
    assert list(ann.get(path, fields="-desc,-created,-_id").get_json()) == [
        "_id",
        "name",
        "accountId",
        "worktiesInstancesIds",
    ]
    assert ann.get("/workflows", fields="name").get_json() == [{"_id": workflow, "name": "w"}]
    for mixture in (path, "/workflows"):
        refused = ann.get(mixture, fields="name,-desc")
        assert refused.status_code == 400
        assert "fields" in message(refused)


def test_what_is_left_out_is_not_embedded(world: Any, ann: Any) -> None:
    [workflow] = named(ann, "w")
    world.settle()
    world.operations.clear()
    answer = ann.get(f"/workflows/{workflow}", fields="name", embed="account,worktiesinstances")
    assert answer.get_json() == {"_id": workflow, "name": "w"}
    assert [collection for collection, _ in world.operations] == [
        "login_failures",
        "accounts",
        "acl_roles",
        "workflows",
    ]


def test_the_number_of_records_is_told_when_asked_for(ann: Any) -> None:
    workflows = named(ann, "a", "b", "c")
    assert ann.get("/workflows", count="true").headers["Records-count"] == "3"
    assert ann.get("/workflows", count="true", per_page=2).headers["Records-count"] == "2"
    assert ann.get("/workflows", count="true", per_page=2, page_num=9).headers["Records-count"] == "0"
    assert ann.get(f"/workflows/{workflows[0]}", count="true").headers["Records-count"] == "1"
    assert "Records-count" not in ann.get("/workflows", count="yes").headers
    assert "Records-count" not in ann.post("/workflows", {"name": "d"}, query_string={"count": "true"}).headers


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "cabd"),
        ({"sort": "name"}, "abcd"),
        ({"sort": "-name"}, "dcba"),
        ({"sort": "nothing, -name"}, "dcba"),
        ({"sort": "-desc,name"}, "bdac"),
        ({"sort": "name", "per_page": "3"}, "abc"),
        ({"sort": "name", "per_page": "3", "page_num": "2"}, "d"),
        ({"per_page": "3", "page_num": "3"}, ""),
        ({"per_page": "3", "page_num": "9" * 60}, ""),
        ({"per_page": "0", "page_num": "5"}, "cabd"),
        ({"name": "b"}, "b"),
        ({"desc": "1", "sort": "name"}, "ac"),
        ({"created": "2026-01-02T03:04:05Z", "name": "d"}, "d"),
        ({"created": "2026-01-02T04:04:05+01:00", "name": "d"}, "d"),
        ({"created": "2001-01-01"}, ""),
        ({"accountId": UNKNOWN}, ""),
        ({"name": '{"$ne": null}'}, ""),
    ],
)
def test_lists_are_sorted_paged_and_filtered(ann: Any, query: dict[str, str], expected: str) -> None:
    for name, desc in ("c1", "a1", "b2", "d2"):
        ann.post("/workflows", {"name": name, "desc": desc})
    assert "".join(workflow["name"] for workflow in ann.get("/workflows", **query).get_json()) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("per_page", "-1"),
        ("per_page", "251"),
        ("per_page", "ten"),
        ("per_page", "1.5"),
        ("page_num", "0"),
        ("page_num", "-1"),
        ("page_num", "one"),
        ("_id", "5"),
        ("accountId", "me"),
        ("created", "yesterday"),
        ("worktiesInstancesIds", UNKNOWN),
        ("runId", UNKNOWN),
        ("name[$ne]", "x"),
        ("$where", "1"),
        ("id", UNKNOWN),
    ],
)
def test_a_bad_query_value_is_refused_by_name(ann: Any, name: str, value: str) -> None:
    answer = ann.get("/workflows", **{name: value})
    assert answer.status_code == 400
    assert name in message(answer)


def test_parameters_of_lists_are_ignored_for_one_entity(ann: Any) -> None:
    [workflow] = named(ann, "w")
    assert ann.get(f"/workflows/{workflow}", per_page="x", sort="-", page_num=0, anything=1).status_code == 200


def test_the_first_failing_check_answers(world: Any, ann: Any) -> None:
    """Authentication, then JSON, permission, query values, required fields, existence."""
    path = f"/workflows/{UNKNOWN}/worktiesInstances"
    bad = {"data": b"{", "content_type": "application/json"}
    assert world.client("ann@mail", "wrong").send("POST", "/accounts", **bad).status_code == 401
    assert ann.send("POST", "/accounts", **bad).status_code == 400
    old = {"accept-version": "3000.1.1"}
    assert ann.post("/accounts", {}, headers=old).status_code == 403
    assert ann.post(path, {}, headers=old).status_code == 400
    assert ann.post(path, {}).status_code == 409
    assert ann.post(path, {"worktyId": UNKNOWN, "position_type": "middle", "name": 5}).status_code == 404
    [workflow] = named(ann, "w")
    path = f"/workflows/{workflow}/worktiesInstances"
    body = {"worktyId": world.template("with-delay"), "position_type": "middle", "name": 5}
    assert code(ann.post(path, body)) == 12
    assert ann.post(path, body | {"position_type": "last"}).status_code == 409


def test_health_is_told_without_login(world: Any) -> None:
    answer = world.client().get("/healthz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_an_absent_database_is_a_reason_to_try_again() -> None:
    failure = failure_of(ServerSelectionTimeoutError("mongo:27017: connection refused"))
    assert (failure.status, failure.code, failure.headers) == (503, None, {"Retry-After": "2"})
    assert "mongo" not in failure.message


def test_what_nobody_foresaw_is_told_without_internals(caplog: pytest.LogCaptureFixture) -> None:
    failure = failure_of(ZeroDivisionError("secret"))
    assert (failure.status, failure.code) == (500, 1)
    assert failure.message.startswith("Unexpected error")
    assert "ZeroDivisionError" in caplog.text


def test_a_subclass_of_an_error_keeps_its_status() -> None:
    class Stopping(StateForbids):
        pass

    assert failure_of(Stopping("The run is stopping")).status == 409


def test_the_reference_names_every_path(world: Any) -> None:
    reference = world.client().get("/swagger.json").get_json()
    assert "/workflows/{id}/worktiesInstances" in reference["paths"]
    assert reference["paths"]["/workflows"]["get"]["summary"]
