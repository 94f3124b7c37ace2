"""A stack with servers of its own, which tests may kill without a thought for others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo.database import Database

from orchestrator.database import connect
from tests.chaos.held import HeldSteps, Ledger, add_held
from tests.servers.broker import create_vhost
from tests.servers.mongod import MongoServer, own_server
from tests.servers.proxy import Link
from tests.servers.rabbitmq import RabbitNode
from tests.servers.stack import Board, RealStack


@dataclass(frozen=True)
class PrivateStack:
    """A broker, a database, an api and an orchestrator; tests add boards, known by a label of their own."""

    broker: RabbitNode
    mongod: MongoServer
    database_url: str
    database: Database[dict[str, Any]]
    stack: RealStack
    directory: Path
    #: Ways to the broker by name of process, for those that do not go there straight; read when one is started.
    ways: dict[str, Link] = field(default_factory=dict)

    @contextmanager
    def boards(self, label: str, *boards: dict[str, Any], size: int = 0) -> Iterator[list[Board]]:
        """Boards with this label, and the workty `held-<label>` that runs on them only. They are killed at the end.

        Args:
            boards: for each what `RealStack.add_board` takes.
            size: bytes that the package of the workty has at least.
        """
        add_held(self.database_url, self.directory, label, size)
        added: list[Board] = []
        try:
            for settings in boards:
                added.append(self.stack.add_board(labels=label, step_shared=str(self._shared), **settings))
            yield added
        finally:
            for board in added:
                self.stack.power_cut(board.process)

    @contextmanager
    def steps(self, label: str, ledger: str) -> Iterator[HeldSteps]:
        """Steps for the boards with this label, and their ledger of this name."""
        with closing(HeldSteps(self.stack, self.database, label, Ledger(self._shared, ledger))) as steps:
            yield steps

    @property
    def _shared(self) -> Path:
        shared = self.directory / "shared"
        shared.mkdir(exist_ok=True)
        shared.chmod(0o777)
        return shared


@contextmanager
def private_stack(directory: Path) -> Iterator[PrivateStack]:
    """A stack of its own in an empty directory."""
    with ExitStack() as undo:
        broker = undo.enter_context(RabbitNode())
        mongod = undo.enter_context(own_server(os.environ))
        url = mongod.url("workty")
        database = connect(url)
        undo.callback(database.client.close)
        ways: dict[str, Link] = {}

        def route(name: str, environ: dict[str, str]) -> dict[str, str]:
            if name not in ways:
                return environ
            straight, way = f":{broker.port}/", f":{ways[name].port}/"
            return {**environ, "WORKTY_AMQP_URL": environ["WORKTY_AMQP_URL"].replace(straight, way)}

        stack = undo.enter_context(RealStack(create_vhost(broker), url, directory, route=route))
        yield PrivateStack(broker, mongod, url, database, stack, directory, ways)
