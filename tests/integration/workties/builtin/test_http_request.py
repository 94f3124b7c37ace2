"""http-request: what is sent, what is kept of the answer, and what is sent again."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workties.builtin.site import Asked, Page, Site
from workties.messages import Checkpoint
from workties.protocol import LogText, PausedLine

Start = Callable[..., Any]
States = Callable[[list[Any]], list[str]]

JSON = {"Content-Type": "application/json"}
BEGUN = Checkpoint("requesting", {"begun": True})


def output(program: Any) -> dict[str, Any]:
    """What the program leaves for later steps."""
    line = program.lines()[-1]
    code, _, stderr = program.end()
    assert (code, stderr) == (0, "")
    return dict(line.output)


def test_a_request_is_sent_and_its_answer_kept(perform: Start, site: Site, states: States) -> None:
    site.pages["/jobs"] = Page(b'{"id": 7}', 201, JSON | {"X-Board": "one"})
    program = perform(
        "http-request", url=f"{site.url}/jobs", method="post", body={"name": "nightly"}, headers={"Authorization": "x"}
    )
    lines = program.lines()
    assert program.end() == (0, "", "")
    assert list(dict.fromkeys(states(lines))) == ["preparing", "requesting", "finishing"]
    found = lines[-1].output
    assert (found["status"], found["body"], found["json"], found["cut"]) == (201, '{"id": 7}', {"id": 7}, False)
    assert found["headers"]["x-board"] == "one"
    (asked,) = site.asked
    assert (asked.method, asked.body) == ("POST", b'{"name": "nightly"}')
    assert (asked.headers["Content-Type"], asked.headers["Authorization"]) == ("application/json", "x")


@pytest.mark.parametrize(
    ("body", "headers", "kept"),
    [
        (b"x" * 100_000, {}, {"body": "x" * (64 * 1024 - 2), "cut": True}),
        (b"\x01" * 60_000, {}, {"body": "\x01" * (64 * 1024 // 6), "cut": True}),
        ("grün".encode("latin-1"), {"Content-Type": "text/plain; charset=latin-1"}, {"body": "grün", "cut": False}),
        (b"\xff", {"Content-Type": "text/plain; charset=none"}, {"body": "\ufffd", "cut": False}),
        (b"{", JSON, {"body": "{", "cut": False}),
        (b"NaN", JSON, {"body": "NaN", "cut": False}),
        (b"[" * 50 + b"]" * 50, JSON, {"body": "[" * 50 + "]" * 50, "cut": False}),
    ],
)
def test_an_answer_of_any_kind_fits_into_the_output(
    perform: Start, site: Site, body: bytes, headers: dict[str, str], kept: dict[str, Any]
) -> None:
    site.pages["/"] = Page(body, headers=headers | {f"X-{number}": "v" * 1000 for number in range(30)})
    found = output(perform("http-request", url=f"{site.url}/"))
    assert {key: value for key, value in found.items() if key not in ("status", "headers")} == kept
    assert len(found["headers"]) < 25


def test_an_answer_is_saved_to_a_file(perform: Start, site: Site, tmp_path: Path) -> None:
    site.pages["/photo"] = Page(b"\x00\xff" * 100_000)
    found = output(perform("http-request", url=f"{site.url}/photo", save_as=str(tmp_path / "photo.jpg")))
    assert (found["path"], found["size"], "body" in found) == (str(tmp_path / "photo.jpg"), 200_000, False)
    assert (tmp_path / "photo.jpg").read_bytes() == b"\x00\xff" * 100_000
    site.pages["/photo"] = Page(b"half", length=10)
    program = perform("http-request", url=f"{site.url}/photo", save_as=str(tmp_path / "other"), retries=0)
    assert program.end()[2] == f"GET {site.url}/photo: the connection ended 6 bytes before the end\n"
    assert not list(tmp_path.glob("other*"))


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "GET URL/missing: the server answered with status 404: not here"),
        ({"expect": [200]}, "GET URL/missing: the server answered with status 404: not here"),
        ({"method": "FETCH"}, "Property 'method': expected one of GET, HEAD, POST"),
        ({"headers": {"A": "b\r\nC: d"}}, "Property 'headers': 'A' is no header, or its value is no text of one line"),
        ({"headers": "A: b"}, "Property 'headers': expected an object of texts"),
        ({"expect": 200}, "Property 'expect': expected a list of statuses, e.g. [200, 404], got 200"),
        ({"timeout": 0}, "Property 'timeout' must be more than 0 seconds, 'retries' 0 or more"),
        ({"url": "file:///etc/passwd"}, "Property 'url': expected http://host/path or https://host/path"),
        ({"save_as": "/no/such/file", "expect": [404]}, "/no/such/file cannot be written: No such file or directory"),
    ],
)
def test_a_request_that_fails_says_why(perform: Start, site: Site, properties: dict[str, Any], message: str) -> None:
    code, _, stderr = perform("http-request", **{"url": f"{site.url}/missing?key=secret", **properties}).end()
    assert code == 1
    assert stderr.startswith(message.replace("URL", site.url))
    assert "secret" not in stderr


def test_an_expected_status_is_no_failure(perform: Start, site: Site) -> None:
    assert output(perform("http-request", url=f"{site.url}/missing", expect=[404]))["status"] == 404


def test_what_a_server_cannot_answer_now_is_tried_again(perform: Start, site: Site) -> None:
    answers = iter([Page(b"busy", 503)])
    site.pages["/"] = lambda _: next(answers, Page(b"done"))
    program = perform("http-request", url=f"{site.url}/", retries=1)
    said = program.until(lambda line: isinstance(line, LogText))
    assert said.text == f"GET {site.url}/: the server answered with status 503: busy; tried again in 1 s"
    program.pause()
    *_, kept, last = program.lines()
    assert last == PausedLine()
    resumed = perform("http-request", url=f"{site.url}/", checkpoint=Checkpoint(kept.state, kept.memory))
    assert output(resumed)["body"] == "done"


def test_a_post_is_not_sent_again_unless_it_may_arrive_twice(perform: Start, site: Site) -> None:
    site.pages["/"] = Page(status=500)
    post = {"url": f"{site.url}/", "method": "POST"}
    assert "status 500" in perform("http-request", **post).end()[2]
    assert len(site.asked) == 1
    code, _, stderr = perform("http-request", **post, checkpoint=BEGUN).end()
    assert code == 1
    assert stderr.startswith(f"POST {site.url}/: the board stopped before there was an answer")
    assert len(site.asked) == 1
    site.pages["/"] = Page(b"again")
    assert output(perform("http-request", **post, repeatable=True, checkpoint=BEGUN))["body"] == "again"
    assert output(perform("http-request", url=f"{site.url}/", method="PUT", checkpoint=BEGUN))["body"] == "again"


def test_a_post_that_reached_nobody_is_sent_again(perform: Start, site: Site) -> None:
    program = perform("http-request", url="http://127.0.0.1:1/", method="POST", retries=1)
    said = program.until(lambda line: isinstance(line, LogText))
    assert said.text == "POST http://127.0.0.1:1/: Connection refused; tried again in 1 s"


def test_redirects_are_followed_but_secrets_stay_with_the_first_server(perform: Start, site: Site) -> None:
    with Site() as other:
        other.pages["/end"] = Page(b"arrived")
        site.pages["/begin"] = Page(status=302, headers={"Location": "/next"})
        site.pages["/next"] = Page(status=307, headers={"Location": f"{other.url}/end"})
        found = output(perform("http-request", url=f"{site.url}/begin", headers={"X-Key": "secret"}))
    assert found["body"] == "arrived"
    assert ["X-Key" in asked.headers for asked in (*site.asked, *other.asked)] == [True, True, False]


def test_redirects_come_to_an_end(perform: Start, site: Site) -> None:
    def further(asked: Asked) -> Page:
        number = int(asked.path[1:]) + 1
        site.pages[f"/{number}"] = further
        return Page(status=302, headers={"Location": f"/{number}"})

    site.pages["/0"] = further
    assert "status 302" in perform("http-request", url=f"{site.url}/0").end()[2]
    assert len(site.asked) == 6
    site.pages["/0"] = Page(status=302, headers={"Location": "ftp://127.0.0.1/secret"})
    assert "unknown url type: ftp" in perform("http-request", url=f"{site.url}/0", retries=0).end()[2]


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[Site]:
    """A server with a certificate that nobody vouches for."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", str(tmp_path / "server.crt"), "-keyout", str(tmp_path / "server.key")]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with Site(context) as found:
        yield found


def test_a_server_that_nobody_vouches_for_gets_nothing(perform: Start, self_signed: Site) -> None:
    program = perform("http-request", url=f"{self_signed.url}/", retries=0)
    assert "certificate verify failed" in program.end()[2]
    assert self_signed.asked == []
