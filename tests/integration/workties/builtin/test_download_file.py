"""download-file: nothing half done under the final name, and no byte twice that need not be."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workties.builtin.site import Asked, Page, Site
from workties.messages import Checkpoint
from workties.protocol import LogText, StateLine

Start = Callable[..., Any]
States = Callable[[list[Any]], list[str]]

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def ranged(content: bytes, **headers: str) -> Callable[[Asked], Page]:
    """A page that can be had in parts, if it is still the version that the client began with."""

    def answer(asked: Asked) -> Page:
        found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("Range", ""))
        if not found or asked.headers.get("If-Range") not in headers.values():
            return Page(content, headers=headers)
        begin = int(found[1])
        span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        return Page(content[begin:], 206, headers | {"Content-Range": span})

    return answer


def resumed(done: int, version: str = '"1"', size: int | None = len(CONTENT)) -> Checkpoint:
    """A checkpoint of an attempt that was cut short after so many bytes."""
    memory = {"done": done, "version": version, "size": size, "seconds": 5.0, "sha256": ""}
    return Checkpoint("downloading", memory)


def test_a_file_is_downloaded_checked_and_put_under_its_name(
    perform: Start, site: Site, tmp_path: Path, states: States
) -> None:
    site.pages["/images/board.img?key=secret"] = Page(CONTENT)
    program = perform(
        "download-file",
        url=f"{site.url}/images/board.img?key=secret",
        path=f"{tmp_path}/new/folder/",
        sha256=SHA256.upper(),
        mode="750",
    )
    lines = program.lines()
    assert program.end() == (0, "", "")
    assert list(dict.fromkeys(states(lines))) == ["preparing", "downloading", "verifying", "finishing"]
    found = lines[-1].output
    target = tmp_path / "new" / "folder" / "board.img"
    assert (found["path"], found["size"], found["sha256"]) == (str(target), len(CONTENT), SHA256)
    assert 0 < found["seconds"] < 60
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (CONTENT, 0o750)
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_is_there_is_not_downloaded_again(perform: Start, site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    lines = perform("download-file", url=f"{site.url}/x", path=str(tmp_path / "file"), sha256=SHA256).lines()
    assert (lines[-1].output["size"], lines[-1].output["sha256"], site.asked) == (len(CONTENT), SHA256, [])


@pytest.mark.parametrize("version", [{"ETag": '"1"'}, {"Last-Modified": "yesterday", "ETag": 'W/"1"'}])
def test_a_resumed_download_asks_for_the_rest_only(
    perform: Start, site: Site, tmp_path: Path, version: dict[str, str]
) -> None:
    site.pages["/file"] = ranged(CONTENT, **version)
    # What lies behind the last checkpoint was not safe on the disk.
    (tmp_path / "file.part").write_bytes(CONTENT[:1000] + b"not safe")
    checkpoint = resumed(1000, version.get("Last-Modified", '"1"'))
    program = perform("download-file", url=f"{site.url}/file", path=str(tmp_path / "file"), checkpoint=checkpoint)
    assert program.lines()[-1].output["seconds"] > 5
    assert [asked.headers["Range"] for asked in site.asked] == ["bytes=1000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "part"),
    [
        (ranged(CONTENT, ETag='"2"'), b"x" * 1000),
        (Page(CONTENT, headers={"ETag": '"1"'}), b"x" * 1000),
        (ranged(CONTENT, ETag='"1"'), b"x" * 999),
        (ranged(CONTENT, ETag='"1"'), None),
    ],
    ids=["the file changed", "no parts of it", "the part is shorter", "the part is gone"],
)
def test_what_does_not_fit_together_is_downloaded_again(
    perform: Start, site: Site, tmp_path: Path, page: Any, part: bytes | None
) -> None:
    site.pages["/file"] = page
    if part is not None:
        (tmp_path / "file.part").write_bytes(part)
    program = perform("download-file", url=f"{site.url}/file", path=str(tmp_path / "file"), checkpoint=resumed(1000))
    program.lines()
    assert program.end() == (0, "", "")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Page(CONTENT[1000:], 206, {"ETag": '"2"', "Content-Range": f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"}),
        Page(CONTENT[500:], 206, {"ETag": '"1"', "Content-Range": f"bytes 500-{len(CONTENT) - 1}/{len(CONTENT)}"}),
        Page(status=416),
    ],
    ids=["another version", "another part", "no such part"],
)
def test_a_part_that_was_not_asked_for_is_not_used(perform: Start, site: Site, tmp_path: Path, answer: Page) -> None:
    site.pages["/file"] = answer
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    program = perform("download-file", url=f"{site.url}/file", path=str(tmp_path / "file"), checkpoint=resumed(1000))
    said = program.until(lambda line: isinstance(line, LogText))
    assert said.text.endswith("after 0 bytes; tried again in 2 s")
    assert not (tmp_path / "file").exists()
    assert (tmp_path / "file.part").read_bytes() == b""


def test_a_connection_that_breaks_off_is_tried_again_from_there(perform: Start, site: Site, tmp_path: Path) -> None:
    whole = ranged(CONTENT, ETag='"1"')
    answers = iter([Page(CONTENT[:5000], 200, {"ETag": '"1"'}, length=len(CONTENT))])
    site.pages["/file"] = lambda asked: next(answers, None) or whole(asked)
    lines = perform("download-file", url=f"{site.url}/file", path=str(tmp_path / "file")).lines()
    (said,) = (line.text for line in lines if isinstance(line, LogText))
    missing = len(CONTENT) - 5000
    problem = f"the connection ended {missing} bytes before the end, after 5000 bytes; tried again in 1 s"
    assert said == f"{site.url}/file: {problem}"
    assert [asked.headers.get("Range") for asked in site.asked] == [None, "bytes=5000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.fixture
def half(site: Site) -> Iterator[threading.Event]:
    """The site sends half of a file and then waits for this event, after which the rest can be had."""
    release = threading.Event()
    page = ranged(CONTENT, ETag='"1"')

    def answer(asked: Asked) -> Page:
        if "Range" not in asked.headers:
            return Page(CONTENT[:500_000], 200, {"ETag": '"1"'}, length=len(CONTENT))
        release.wait(60)
        return page(asked)

    site.pages["/file"] = answer
    yield release
    release.set()


def test_a_killed_download_goes_on_from_its_last_checkpoint(
    perform: Start, site: Site, tmp_path: Path, half: threading.Event
) -> None:
    wanted = {"url": f"{site.url}/file", "path": str(tmp_path / "file"), "sha256": SHA256}
    program = perform("download-file", **wanted)
    kept = program.until(lambda line: isinstance(line, StateLine) and line.memory.get("done", 0) > 0)
    program.process.kill()
    program.end()
    assert not (tmp_path / "file").exists()
    half.set()
    again = perform("download-file", **wanted, checkpoint=Checkpoint(kept.state, kept.memory))
    again.lines()
    assert again.end() == (0, "", "")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert site.asked[-1].headers["Range"] == f"bytes={kept.memory['done']}-"


@pytest.mark.parametrize("published", [True, False])
def test_a_download_killed_at_its_end_is_not_lost(perform: Start, site: Site, tmp_path: Path, published: bool) -> None:
    (tmp_path / ("file" if published else "file.part")).write_bytes(CONTENT)
    memory = resumed(len(CONTENT)).memory | {"sha256": SHA256}
    program = perform(
        "download-file",
        url=f"{site.url}/file",
        path=str(tmp_path / "file"),
        checkpoint=Checkpoint("finishing" if published else "verifying", memory),
    )
    assert program.lines()[-1].output["size"] == len(CONTENT)
    assert ((tmp_path / "file").read_bytes(), site.asked) == (CONTENT, [])


def test_a_download_that_another_board_completed_half_is_begun_again(
    perform: Start, site: Site, tmp_path: Path, states: States
) -> None:
    site.pages["/file"] = Page(CONTENT)
    checkpoint = Checkpoint("verifying", resumed(len(CONTENT)).memory)
    lines = perform("download-file", url=f"{site.url}/file", path=str(tmp_path / "file"), checkpoint=checkpoint).lines()
    assert list(dict.fromkeys(states(lines))) == ["verifying", "downloading", "finishing"]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"sha256": "0" * 64}, f"URL/file: the file has SHA-256 {SHA256}, expected {'0' * 64}. Nothing was kept of it"),
        ({"url": "URL/missing?key=secret"}, "URL/missing: the server answered with status 404"),
        ({"url": "URL/"}, "URL/: the address names no file. Set the property 'path' to a file, not a folder"),
        ({"url": "URL/busy", "retries": 0}, "URL/busy: the server answered with status 503, after 0 bytes"),
        ({"url": "URL/huge"}, "TMP has room for "),
        ({"sha256": "123"}, "Property 'sha256': expected 64 hexadecimal digits, got '123'"),
        ({"mode": "rwx"}, "Property 'mode': expected three octal digits, e.g. 0644, got 'rwx'"),
        ({"path": "/proc/no/file"}, "/proc/no cannot be made: No such file or directory"),
        ({"path": "/proc/file"}, "/proc/file.part cannot be written: "),
        ({"retries": -1}, "Property 'timeout' must be more than 0 seconds, 'retries' 0 or more"),
    ],
)
def test_a_download_that_fails_says_why_and_leaves_nothing_under_the_name(
    perform: Start, site: Site, tmp_path: Path, properties: dict[str, Any], message: str
) -> None:
    site.pages |= {"/file": Page(CONTENT), "/busy": Page(status=503), "/huge": Page(length=2**60)}
    given = {"url": "URL/file", "path": str(tmp_path), **properties}
    given["url"] = given["url"].replace("URL", site.url)
    code, _, stderr = perform("download-file", **given).end()
    assert code == 1
    assert stderr.startswith(message.replace("URL", site.url).replace("TMP", str(tmp_path)))
    assert "secret" not in stderr
    assert not (tmp_path / "file").exists()


def test_two_steps_do_not_download_the_same_file_at_once(
    perform: Start, site: Site, tmp_path: Path, half: threading.Event
) -> None:
    wanted = {"url": f"{site.url}/file", "path": str(tmp_path / "file")}
    first = perform("download-file", **wanted)
    first.until(lambda line: isinstance(line, StateLine) and line.memory.get("done", 0) > 0)
    assert "another step downloads the same file" in perform("download-file", **wanted).end()[2]
    assert not half.is_set()
