"""The two ways to run Workty, for tests that must pass on both, and users of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.user import User
from tests.servers.embedded import EmbeddedServer
from tests.servers.stack import RealStack


@pytest.fixture(params=["embedded", "real"])
def server_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a fresh Workty answers: `workty up`, or api, orchestrator and two agents as processes."""
    if request.param == "embedded":
        with EmbeddedServer(tmp_path) as server:
            yield server.url
    else:
        stack: RealStack = request.getfixturevalue("real_stack")
        for number in (1, 2):
            stack.add_board(f"board-{number}", slots=2)
        yield stack.url


@pytest.fixture
def new_user() -> Iterator[Callable[[str], User]]:
    """Makes users of a server; they disconnect at the end."""
    with ExitStack() as users:

        def make(url: str) -> User:
            user = User(url)
            users.callback(user.close)
            return user

        yield make


@pytest.fixture
def shared_folder(tmp_path: Path) -> Path:
    """A folder that boards may share with steps, whatever account these have."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    return folder
