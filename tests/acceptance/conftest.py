"""The two ways to run Workty, for tests that must pass on both, and users of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.user import User
from tests.servers.broker import Broker, create_vhost, remove_vhost
from tests.servers.embedded import EmbeddedServer
from tests.servers.mongod import Database, drop
from tests.servers.stack import RealStack


@pytest.fixture(params=["lasting_server", "lasting_stack"], ids=["embedded", "real"])
def server_url(request: pytest.FixtureRequest) -> str:
    """Where a Workty answers: `workty up`, or the processes of `lasting_stack`."""
    server: EmbeddedServer | RealStack = request.getfixturevalue(request.param)
    return server.url


@pytest.fixture(scope="session")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """`workty up`, for tests that share it and have accounts of their own."""
    with EmbeddedServer(tmp_path_factory.mktemp("lasting")) as server:
        yield server


@pytest.fixture(scope="session")
def lasting_stack(rabbitmq: Broker, mongod: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    """api, orchestrator and two agents as processes, for tests that share them and have accounts of their own."""
    vhost, url = create_vhost(rabbitmq), mongod.url(f"workty-test-{secrets.token_hex(6)}")
    with RealStack(vhost, url, tmp_path_factory.mktemp("lasting")) as stack:
        for number in (1, 2):
            stack.add_board(f"board-{number}", slots=2)
        yield stack
    remove_vhost(vhost)
    drop(url)


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
