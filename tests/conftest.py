"""Fixtures of real servers for all tests: one RabbitMQ node and one mongod a test process, fresh names in them a test.

Where neither a binary nor a URL in the environment is there the tests that need it fail and say what to install.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.scheduling import BySharing
from tests.servers import mongod as mongod_server
from tests.servers import rabbitmq as rabbitmq_server
from tests.servers.broker import Broker, BrokerMissing, Vhost, create_vhost, remove_vhost
from tests.servers.mongod import Database, DatabaseMissing, MongoServer
from tests.servers.rabbitmq import RabbitNode
from tests.servers.stack import RealStack


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySharing:
    """Called where `-n` asks for several processes."""
    return BySharing(config, log)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Broker]:
    """A broker; a test that kills it restarts it before its end."""
    with ExitStack() as stack:
        try:
            broker = rabbitmq_server.find_broker(os.environ)
        except BrokerMissing as error:
            pytest.fail(str(error), pytrace=False)
        yield stack.enter_context(broker) if isinstance(broker, RabbitNode) else broker


@pytest.fixture(scope="session")
def mongod() -> Iterator[Database]:
    """A MongoDB (replica set); a test that kills it restarts it before its end."""
    with ExitStack() as stack:
        try:
            database = mongod_server.find_database(os.environ)
        except DatabaseMissing as error:
            pytest.fail(str(error), pytrace=False)
        yield stack.enter_context(database) if isinstance(database, MongoServer) else database


@pytest.fixture
def vhost(rabbitmq: Broker) -> Iterator[Vhost]:
    """A virtual host of the test's own, with an account that may do everything in it."""
    vhost = create_vhost(rabbitmq)
    yield vhost
    remove_vhost(vhost)


@pytest.fixture
def database_url(mongod: Database) -> Iterator[str]:
    """URL of a database of the test's own, empty at first."""
    url = mongod.url(f"workty-test-{secrets.token_hex(6)}")
    yield url
    mongod_server.drop(url)


@pytest.fixture
def real_stack(vhost: Vhost, database_url: str, tmp_path: Path) -> Iterator[RealStack]:
    """api and orchestrator as processes on real servers; the test adds the boards that it needs."""
    with RealStack(vhost, database_url, tmp_path) as stack:
        yield stack
