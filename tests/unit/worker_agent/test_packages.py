"""Packages are fetched from one server, checked, kept and unpacked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from worker_agent.errors import Cancelled, PackageUnavailable
from worker_agent.packages import Packages
from workties.messages import Package
from workties.package import pack


class Shop:
    """A server of packages that counts what it is asked for.

    Attributes:
        answers: status and content of the answers, one by one; the last one again and again.
        breaks: after how many bytes answers break off, one by one; then they do not.
        ranges: what was asked for of each package: where to begin.
        resumes: whether it knows how to send the rest of a package.
        etag: what it says the package is, instead of its digest.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.breaks: list[int] = []
        self.ranges: list[str | None] = []
        self.resumes = True
        self.etag = ""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, data = shop.answers[min(shop.asked, len(shop.answers) - 1)]
                shop.ranges.append(self.headers.get("Range"))
                begin = shop.begin(self.headers.get("Range"), self.headers.get("If-Range"), data)
                if status == 200 and begin is not None:
                    status = 206 if begin < len(data) else 416
                self.send_response(status)
                if status == 302:
                    self.send_header("location", shop.url)
                if status == 206:
                    self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
                rest = data[begin or 0 :]
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest[: shop.breaks.pop(0)] if shop.breaks else rest)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def asked(self) -> int:
        return len(self.ranges)

    def begin(self, wanted: str | None, known: str | None, data: bytes) -> int | None:
        """Where an answer begins that is only the rest of a package; None for a whole one."""
        tag = self.etag or hashlib.sha256(data).hexdigest()
        if wanted is None or not self.resumes or known != f'"{tag}"':
            return None
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def offer(self, data: bytes, **values: Any) -> Package:
        self.answers = [(200, data)]
        digest = hashlib.sha256(data).hexdigest()
        return Package(**{"sha256": digest, "size": len(data), "url": f"{self.url}/p", "url_expires": "", **values})


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture
def package(tmp_path: Path) -> Callable[[str], bytes]:
    def make(text: str) -> bytes:
        folder = tmp_path / "source"
        folder.mkdir(exist_ok=True)
        (folder / "main.py").write_text(text)
        return pack(folder)

    return make


def unpack(packages: Packages, package: Package, directory: Path, *, cancelled: bool = False) -> None:
    packages.unpack(package, directory, lambda seconds: cancelled)


def test_a_package_is_fetched_once_and_unpacked_each_time(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    offered = shop.offer(package("one"))
    for name in ("a", "b"):
        unpack(packages, offered, tmp_path / name)
        assert (tmp_path / name / "main.py").read_text() == "one"
    assert shop.asked == 1


def test_a_damaged_copy_is_fetched_again(tmp_path: Path, shop: Shop, package: Callable[[str], bytes]) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    offered = shop.offer(package("one"))
    unpack(packages, offered, tmp_path / "a")
    (tmp_path / "cache" / f"{offered.sha256}.zip").write_bytes(b"damaged")
    unpack(packages, offered, tmp_path / "b")
    assert shop.asked == 2


def test_the_least_recently_used_package_goes_first(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    data = [package(text) for text in ("one", "two", "six")]
    packages = Packages(tmp_path / "cache", shop.url, len(data[0]) + len(data[1]))
    for name, found in zip("abcd", (data[0], data[1], data[0], data[2]), strict=True):
        unpack(packages, shop.offer(found), tmp_path / name)
    kept = {path.stem for path in (tmp_path / "cache").glob("*.zip")}
    assert kept == {hashlib.sha256(found).hexdigest() for found in (data[0], data[2])}


@pytest.mark.parametrize("wrong", [{"size": 10}, {"size": 10_000}, {"sha256": "0" * 64}, {"size": 2**40}], ids=str)
def test_another_package_than_announced_is_refused(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes], wrong: dict[str, Any]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    with pytest.raises(PackageUnavailable):
        unpack(packages, shop.offer(package("one"), **wrong), tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/p", "https://elsewhere/p", "file:///etc/passwd", "http://[bad", "http://h:x/"]
)
def test_nothing_is_fetched_from_elsewhere(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes], url: str
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    with pytest.raises(PackageUnavailable):
        unpack(packages, shop.offer(package("one"), url=url), tmp_path / "a")
    assert shop.asked == 0


@pytest.mark.parametrize("status", [302, 403, 404])
def test_a_server_that_says_no_or_points_elsewhere_is_not_asked_again(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes], status: int
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    offered = shop.offer(package("one"))
    shop.answers = [(status, b""), (200, b"")]
    with pytest.raises(PackageUnavailable, match=str(status)):
        unpack(packages, offered, tmp_path / "a")
    assert shop.asked == 1


def test_a_server_in_trouble_is_asked_again(tmp_path: Path, shop: Shop, package: Callable[[str], bytes]) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    offered = shop.offer(package("one"))
    shop.answers.insert(0, (503, b""))
    unpack(packages, offered, tmp_path / "a")
    assert shop.asked == 2


def test_a_package_that_is_not_wanted_any_more_is_not_fetched(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    with pytest.raises(Cancelled):
        unpack(packages, shop.offer(package("one")), tmp_path / "a", cancelled=True)
    assert shop.asked == 0


def test_a_server_that_is_away_for_minutes_is_waited_for(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    offered = shop.offer(package("one"))
    shop.answers[:0] = [(503, b"")] * 30
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return False

    packages.unpack(offered, tmp_path / "a", wait)
    assert sum(waited) > 200
    assert (tmp_path / "a").exists()


# --- downloads that break off


def cached(packages_directory: Path) -> dict[str, int]:
    return {path.suffix: path.stat().st_size for path in packages_directory.iterdir()}


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    offered = shop.offer(package("one"))
    shop.breaks = [30, 20]
    unpack(packages, offered, tmp_path / "a")
    assert (tmp_path / "a" / "main.py").read_text() == "one"
    assert shop.ranges == [None, "bytes=30-", "bytes=50-"]
    assert list(cached(tmp_path / "cache")) == [".zip"]


def test_a_download_goes_on_after_the_agent_was_started_again(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    offered = shop.offer(package("one"))
    shop.breaks = [30]
    asked: list[float] = []

    def stop(seconds: float) -> bool:
        asked.append(seconds)
        return seconds > 0

    with pytest.raises(Cancelled):
        Packages(tmp_path / "cache", shop.url, 10_000).unpack(offered, tmp_path / "a", stop)
    assert cached(tmp_path / "cache") == {".part": 30}
    unpack(Packages(tmp_path / "cache", shop.url, 10_000), offered, tmp_path / "b")
    assert shop.ranges == [None, "bytes=30-"]


@pytest.mark.parametrize("size", [30, 10_000, None], ids=["shorter", "longer", "as long"])
def test_what_an_earlier_download_left_is_not_trusted(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes], size: int | None
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 20_000)
    offered = shop.offer(package("one"))
    (tmp_path / "cache" / f"{offered.sha256}.part").write_bytes(bytes(size or offered.size))
    unpack(packages, offered, tmp_path / "a")
    assert (tmp_path / "a" / "main.py").read_text() == "one"
    assert shop.ranges[-1] is None
    assert list(cached(tmp_path / "cache")) == [".zip"]


def test_a_package_that_was_whole_when_the_agent_stopped_is_not_fetched_again(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    data = package("one")
    offered = shop.offer(data)
    (tmp_path / "cache" / f"{offered.sha256}.part").write_bytes(data)
    unpack(packages, offered, tmp_path / "a")
    assert shop.asked == 0


@pytest.mark.parametrize("way", ["knows no ranges", "knows another package"])
def test_a_server_that_cannot_go_on_sends_the_whole_package(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes], way: str
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    offered = shop.offer(package("one"))
    shop.breaks, shop.resumes = [30], way != "knows no ranges"
    shop.etag = "other" if shop.resumes else ""
    unpack(packages, offered, tmp_path / "a")
    assert shop.ranges == [None, "bytes=30-"]


def test_a_server_that_has_no_such_rest_is_asked_for_the_whole_package(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    data = package("one")
    offered = shop.offer(data)
    shop.breaks, shop.etag = [30], offered.sha256
    shop.answers = [(200, data), (200, b"short"), (200, data)]
    unpack(packages, offered, tmp_path / "a")
    assert shop.ranges == [None, "bytes=30-", None]


def test_a_link_that_ends_during_a_download_is_told_and_leaves_what_is_there(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    data = package("one")
    offered = shop.offer(data, url_expires="2026-01-02T03:14:05Z")
    shop.breaks, shop.answers = [30], [(200, data), (403, b""), (200, data)]
    told = f"not valid any more .403; it was good until 2026-01-02T03:14:05Z; 30 of {len(data)} bytes are here"
    with pytest.raises(PackageUnavailable, match=told):
        unpack(packages, offered, tmp_path / "a")
    unpack(packages, offered, tmp_path / "b")
    assert shop.ranges == [None, "bytes=30-", "bytes=30-"]


def test_steps_that_need_a_package_at_once_fetch_it_once(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    offered = shop.offer(package("one"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: unpack(packages, offered, tmp_path / str(number)), range(4)))
    assert shop.asked == 1
    assert all((tmp_path / str(number) / "main.py").exists() for number in range(4))


def test_parts_of_packages_that_nobody_needs_any_more_make_room(
    tmp_path: Path, shop: Shop, package: Callable[[str], bytes]
) -> None:
    packages = Packages(tmp_path / "cache", shop.url, 10_000)
    left = tmp_path / "cache" / f"{'0' * 64}.part"
    left.write_bytes(bytes(10_000))
    unpack(packages, shop.offer(package("one")), tmp_path / "a")
    assert not left.exists()
