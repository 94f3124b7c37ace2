"""Packages are fetched from one server, checked, kept and unpacked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from worker_agent.errors import Cancelled, PackageUnavailable
from worker_agent.packages import Packages
from workties.messages import Package
from workties.package import pack


class Shop:
    """A server of packages that counts what it is asked for."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.asked = 0
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, data = shop.answers[min(shop.asked, len(shop.answers) - 1)]
                shop.asked += 1
                self.send_response(status)
                if status == 302:
                    self.send_header("location", shop.url)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

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
