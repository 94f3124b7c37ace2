"""Packages for boards over REST: whole, in parts, and only with a good link."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from tests.unit.api.zips import APP

DIGEST = sha256(APP).hexdigest()
SIZE = len(APP)


@pytest.fixture
def link(world: Any) -> str:
    world.services.packages.put(APP)
    return str(world.links.url(DIGEST, world.clock())[0]).removeprefix("http://server")


def ask(world: Any, link: str, **headers: str) -> Any:
    return world.client().send("GET", link, headers={name.replace("_", "-"): text for name, text in headers.items()})


def test_a_package_says_what_it_is_and_that_parts_can_be_had(world: Any, link: str) -> None:
    answer = ask(world, link)
    assert (answer.status_code, answer.data) == (200, APP)
    assert answer.headers["ETag"] == f'"{DIGEST}"'
    assert (answer.headers["Accept-Ranges"], answer.headers["Content-Length"]) == ("bytes", str(SIZE))


def test_the_rest_of_a_package_can_be_had(world: Any, link: str) -> None:
    answer = ask(world, link, Range="bytes=10-", If_Range=f'"{DIGEST}"')
    assert (answer.status_code, answer.data) == (206, APP[10:])
    assert answer.headers["Content-Range"] == f"bytes 10-{SIZE - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(SIZE - 10)


def test_the_rest_of_another_package_is_the_whole_of_this_one(world: Any, link: str) -> None:
    answer = ask(world, link, Range="bytes=10-", If_Range='"other"')
    assert (answer.status_code, answer.data) == (200, APP)


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE + 9}-{SIZE + 10}"])
def test_a_part_beyond_the_end_is_refused_with_the_size(world: Any, link: str, wanted: str) -> None:
    answer = ask(world, link, Range=wanted)
    assert (answer.status_code, answer.data) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


def test_a_part_needs_a_link_as_good_as_the_whole(world: Any, link: str) -> None:
    world.clock.pass_time(minutes=10)
    assert ask(world, link, Range="bytes=10-").status_code == 403
    assert ask(world, link + "0", Range="bytes=10-").status_code == 403
    unknown = world.links.url("0" * 64, world.clock() + timedelta(minutes=1))[0].removeprefix("http://server")
    assert ask(world, unknown, Range="bytes=10-").status_code == 404
