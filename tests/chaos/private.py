"""A stack with servers of its own, which a test may kill without a thought for others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.database import connect
from tests.chaos.held import add_held
from tests.servers.broker import create_vhost
from tests.servers.mongod import MongoServer, own_server
from tests.servers.rabbitmq import RabbitNode
from tests.servers.stack import RealStack

#: Seconds until something has converged; on a slow and busy machine, too.
DEADLINE = 180


@dataclass(frozen=True)
class PrivateStack:
    """Servers, api and orchestrator, with the workty `held`; `shared` is a folder that boards may share with steps."""

    broker: RabbitNode
    mongod: MongoServer
    database: Database[dict[str, Any]]
    stack: RealStack
    shared: Path

    def runs(self, workflows: list[str]) -> list[dict[str, Any]]:
        """The documents of the runs of some workflows."""
        return list(self.database["runs"].find({"workflowId": {"$in": list(map(ObjectId, workflows))}}))

    def count(self, workflows: list[str], **first_step: str) -> int:
        """How many runs have these values in their first step, e.g. `state="completed"`."""
        wanted = {f"steps.0.{name}": value for name, value in first_step.items()}
        return self.database["runs"].count_documents({"workflowId": {"$in": list(map(ObjectId, workflows))}, **wanted})


@contextmanager
def private_stack(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[PrivateStack]:
    """A broker, a database, an api and an orchestrator; the test adds the boards.

    Args:
        directory: an empty directory.
        settings: further settings of the server's processes.
    """
    with ExitStack() as undo:
        broker = undo.enter_context(RabbitNode())
        mongod = undo.enter_context(own_server(os.environ))
        url = mongod.url("workty")
        database = connect(url)
        undo.callback(database.client.close)
        stack = undo.enter_context(RealStack(create_vhost(broker), url, directory, settings))
        shared = directory / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        add_held(url, directory)
        yield PrivateStack(broker, mongod, database, stack, shared)
