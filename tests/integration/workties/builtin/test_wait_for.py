"""wait-for: ports, URLs and files, and what is said when they do not come."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workties.builtin.site import Page, Site
from workties.messages import Checkpoint
from workties.protocol import OutputLine, PausedLine, ProgressLine

Start = Callable[..., Any]
States = Callable[[list[Any]], list[str]]


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A port that is taken and refuses connections until it listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found


def is_progress(line: object) -> bool:
    return isinstance(line, ProgressLine)


def test_a_port_is_waited_for_until_it_takes_connections(perform: Start, states: States, port: socket.socket) -> None:
    address = f"127.0.0.1:{port.getsockname()[1]}"
    program = perform("wait-for", port=address, interval=0.1)
    assert program.until(is_progress).message == "waited 0 of 300 s; Connection refused"
    port.listen()
    lines = program.lines()
    assert states(lines)[-1] == "finishing"
    assert lines[-1].output["seen"] == "takes connections"
    assert program.end() == (0, "", "")


def test_a_url_is_waited_for_until_it_has_the_status(perform: Start, site: Site) -> None:
    answers = iter([Page(status=503), Page(status=302, headers={"Location": "/elsewhere"})])
    site.pages["/health?key=1"] = lambda _: next(answers, Page(status=204))
    lines = perform("wait-for", url=f"{site.url}/health?key=1", interval=0.1).lines()
    assert [line.message.partition("; ")[2] for line in lines if is_progress(line)][:2] == ["status 503", "status 302"]
    assert lines[-1].output["seen"] == "status 204"
    site.pages["/moved"] = Page(status=301)
    assert perform("wait-for", url=f"{site.url}/moved", status=301).lines()[-1].output["seen"] == "status 301"


def test_a_file_is_waited_for_until_nobody_changes_it(perform: Start, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    program = perform("wait-for", file=str(file), unchanged=0.2, interval=0.1)
    assert "No such file" in program.until(is_progress).message
    file.write_text("half")
    program.until(lambda line: is_progress(line) and "4 bytes, unchanged for" in line.message)
    file.write_text("whole")
    assert program.lines()[-1].output["seen"] == "5 bytes"


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        (
            {"file": "/no/such", "timeout": 0},
            "Waited 0 s in vain for file /no/such; last seen: No such file or directory",
        ),
        ({}, "Set exactly one of the properties port, url and file; got none"),
        ({"port": "a:1", "file": "/"}, "Set exactly one of the properties port, url and file; got port, file"),
        ({"port": "localhost"}, "Property 'port': expected host:port, e.g. 10.0.0.7:22, got 'localhost'"),
        ({"url": "ftp://host"}, "Property 'url': expected http://host/path or https://host/path, in ASCII, without"),
        ({"url": "http://me:secret@host"}, "Property 'url': expected http://host/path or https://host/path, in ASCII"),
        ({"file": "/", "interval": 0}, "Property 'interval': expected seconds, 0.1 or more, got 0"),
    ],
)
def test_a_wait_that_fails_says_why(perform: Start, properties: dict[str, Any], message: str) -> None:
    code, _, stderr = perform("wait-for", **properties).end()
    assert code == 1
    assert stderr.startswith(message)
    assert "secret" not in stderr


def test_a_wait_in_vain_for_a_url_does_not_show_its_query(perform: Start, site: Site) -> None:
    _, _, stderr = perform("wait-for", url=f"{site.url}/health?key=secret", timeout=0).end()
    assert stderr == f"Waited 0 s in vain for url {site.url}/health; last seen: status 404\n"


def test_a_pause_keeps_the_time_that_was_waited(perform: Start) -> None:
    checkpoint = Checkpoint("waiting", {"what": "file", "waited": 100.0})
    program = perform("wait-for", file="/no/such", checkpoint=checkpoint)
    assert program.until(is_progress).message.startswith("waited 100 of 300 s")
    program.pause()
    *_, kept, last = program.lines()
    assert last == PausedLine()
    assert 100 < kept.memory["waited"] < 200
    over = Checkpoint("waiting", {"what": "file", "waited": 300.0})
    program = perform("wait-for", file="/no/such", checkpoint=over)
    *_, kept = program.lines()
    assert "Waited 300 s in vain" in program.end()[2]
    assert (kept.state, kept.memory["waited"]) == ("waiting", 0.0), "a retry waits for the whole time"


def test_a_wait_that_was_over_is_not_waited_again(perform: Start) -> None:
    memory = {"what": "file", "waited": 2.5, "_output": {"seen": "7 bytes"}}
    lines = perform("wait-for", file="/no/such", checkpoint=Checkpoint("finishing", memory)).lines()
    assert lines[-1] == OutputLine({"seen": "7 bytes", "waited": 2.5})
