"""The client's requests, on a small HTTP server that answers what the test wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from api.client import BadUse, Client, NotReachable, Refused

ID, OTHER = "5f43a1c09b1e8a0001c0ffee", "6a43a1c09b1e8a0001c0ffee"


class Server:
    """Answers by method and path: a JSON value, or status, value and headers."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                what = f"{self.command} {parts.path.removeprefix('/api/v1')}"
                server.asked.append((what, dict(parse_qsl(parts.query)), json.loads(body) if body else None))
                found = server.answers.get(
                    what, (404, {"error": {"code": 2, "message": "The entity was not found"}}, {})
                )
                if callable(found):
                    found = found(dict(parse_qsl(parts.query)))
                status, value, headers = found if isinstance(found, tuple) else (200, found, {})
                text = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                for name, content in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, content)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - names of the library

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, "a-token") as made:
        yield made


def refused(status: int, code: int | str, message: str, **more: Any) -> tuple[int, Any, dict[str, str]]:
    return status, {"error": {"code": code, "message": message, **more}}, {}


def test_a_refusal_has_status_code_and_the_servers_words(server: Server, client: Client) -> None:
    problems = [{"message": "Path `name` is required."}]
    server.answers["GET /devices"] = refused(403, 13, "The operation is forbidden")
    with pytest.raises(Refused, match="The operation is forbidden") as told:
        client.boards()
    assert (told.value.status, told.value.code) == (403, 13)
    server.answers["POST /workflows"] = refused(409, "", "Validation Error", errors=problems)
    with pytest.raises(Refused, match=r"Validation Error Path `name` is required\.") as told:
        client.rest.post("/workflows", {})
    assert (told.value.code, told.value.details) == (None, ("Path `name` is required.",))


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_cannot_serve_now_counts_as_not_reachable(server: Server, client: Client, status: int) -> None:
    server.answers["GET /runs"] = refused(status, "", "The database cannot be reached")
    with pytest.raises(NotReachable, match="The database cannot be reached"):
        client.runs()


def test_whoever_is_no_workty_is_told_so(server: Server, client: Client) -> None:
    server.answers["GET /runs"] = (200, b"<html>", {})
    with pytest.raises(NotReachable, match="what answers there is not Workty"):
        client.runs()
    server.answers["GET /runs"] = (418, b"<html>", {})
    with pytest.raises(Refused, match="I'm a Teapot"):
        client.runs()


def test_a_token_is_never_sent_on_to_another_server(server: Server, client: Client) -> None:
    server.answers["GET /runs"] = (301, b"", {"Location": "https://other.example/"})
    with pytest.raises(BadUse, match=r"sends on to https://other\.example/"):
        client.runs()


def test_a_server_that_does_not_answer_in_time_is_told(server: Server) -> None:
    given_up = Event()
    server.answers["GET /runs"] = lambda _: given_up.wait(30) and []
    with (
        Client(server.url, "t", timeout=0.05) as client,
        pytest.raises(NotReachable, match=r"no answer within 0\.05 s"),
    ):
        client.runs()
    given_up.set()


def test_no_proxy_of_the_environment_is_asked_for_a_server_on_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.answers["GET /runs"] = []
    with Client(server.url, "t") as client:
        assert client.runs() == []
    with (
        Client("http://workty.example", "t") as client,
        pytest.raises(NotReachable, match="the proxy of the environment"),
    ):
        client.runs()


def test_without_a_token_one_has_to_log_in(server: Server) -> None:
    with Client(server.url) as client, pytest.raises(BadUse, match="Log in first"):
        client.runs()


def test_a_login_keeps_the_token_and_its_end(server: Server) -> None:
    answer = {"token": "new", "tokenType": "bearer", "expiresIn": 60, "accountId": ID}
    server.answers["POST /tokens"] = (201, answer, {})
    with Client.login(server.url, "ä@mail.com", "pässword") as client:
        assert (client.token, client.account_id) == ("new", ID)
        assert client.expires is not None


def test_whose_a_token_is_is_found_out_where_it_can_be(server: Server) -> None:
    regular, admin = {"_id": ID, "aclRoleNames": ["regular"]}, {"_id": OTHER, "aclRoleNames": ["admin"]}
    for seen, own in (([regular], ID), ([regular, admin], OTHER)):
        server.answers["GET /accounts"] = seen
        with Client(server.url, "t") as client:
            assert client.account_id == own
    server.answers["GET /accounts"] = [admin, {**admin, "_id": ID}]
    with Client(server.url, "t") as client, pytest.raises(BadUse, match="give the id of its account too"):
        assert client.account_id
    with Client(server.url, "t", account_id=ID) as client:
        assert client.account_id == ID


def test_a_name_that_looks_like_an_id_is_found_too(server: Server, client: Client) -> None:
    server.answers["GET /workflows"] = [{"_id": OTHER, "name": ID}]
    server.answers[f"GET /workflows/{OTHER}"] = {"_id": OTHER, "name": ID}
    assert client.workflow(ID).id == OTHER


def test_what_is_no_id_of_a_run_never_gets_into_a_path(client: Client, server: Server) -> None:
    for text in ("..", "a/b", "", "latest"):
        with pytest.raises(BadUse, match="is no id of a run"):
            client.read_run(text)
    assert server.asked == []


def test_a_log_is_read_page_by_page_to_its_end(server: Server, client: Client) -> None:
    def page(query: dict[str, str]) -> list[dict[str, Any]]:
        since = int(query["since"])
        return [{"seq": seq, "lines": [{"text": str(seq)}]} for seq in range(since + 1, min(since + 3, 6))]

    server.answers[f"GET /runs/{ID}/log"] = page
    assert [entry.seq for entry in client.log(ID)] == [1, 2, 3, 4, 5]
    assert [entry.seq for entry in client.log(ID, since=3)] == [4, 5]


def test_a_log_without_numbers_is_read_once(server: Server, client: Client) -> None:
    server.answers[f"GET /runs/{ID}/log"] = [{"_id": ID, "name": "bake", "lines": ["oh"]}, {"_id": OTHER, "lines": []}]
    assert [[line.text for line in entry.lines] for entry in client.log(ID)] == [["oh"]]


def test_to_resume_what_has_ended_is_refused_before_anything_is_started(server: Server, client: Client) -> None:
    server.answers["GET /workflows"] = [{"_id": ID, "name": "nightly"}]
    for runs in ([], [{"_id": OTHER}]):
        server.answers["GET /runs"] = runs
        server.answers[f"GET /runs/{OTHER}"] = {"_id": OTHER, "state": "stopped"}
        with pytest.raises(BadUse, match="Workflow 'nightly' has no run to go on with"):
            client.resume("nightly")
    assert all(what.startswith("GET") for what, _, _ in server.asked)
