"""The services of the core that the transports use, put together once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pymongo.database import Database

from orchestrator.accounts.passwords import Passwords
from orchestrator.accounts.service import AccountService
from orchestrator.accounts.tokens import TokenService
from orchestrator.boards.service import BoardService, Consequences, Queues
from orchestrator.boards.store import BoardStore
from orchestrator.catalogue.packages import PackageLinks, PackageStore
from orchestrator.catalogue.service import CatalogueService
from orchestrator.runs.history import RunHistory
from orchestrator.workflows.instances import InstanceService
from orchestrator.workflows.reading import Reader
from orchestrator.workflows.runs import Runs
from orchestrator.workflows.service import WorkflowService


class Broker(Queues, Protocol):
    """The message broker, as far as requests need it."""

    def waiting_events(self) -> int:
        """How many events wait to be read. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Services:
    """What requests are carried out by. `check` returns if the database answers, and raises what it raises if not.

    `board_states` counts boards by state.
    """

    accounts: AccountService
    tokens: TokenService
    catalogue: CatalogueService
    workflows: WorkflowService
    instances: InstanceService
    packages: PackageStore
    links: PackageLinks
    boards: BoardService
    history: RunHistory
    board_states: Callable[[], Mapping[str, int]]
    broker: Broker
    clock: Callable[[], datetime]
    check: Callable[[], object]


def assemble(
    db: Database[dict[str, Any]],
    runs: Runs,
    links: PackageLinks,
    clock: Callable[[], datetime],
    passwords: Passwords | None = None,
    *,
    broker: Broker,
    fleet: Consequences,
) -> Services:
    """All services on one database, one broker and one run engine; `fleet` is told what becomes of boards."""
    accounts = AccountService(db, passwords or Passwords(clock), clock)
    packages = PackageStore(db)
    catalogue = CatalogueService(db, packages)
    reader = Reader(db, accounts, catalogue, runs)
    return Services(
        accounts=accounts,
        tokens=TokenService(db, accounts, clock),
        catalogue=catalogue,
        workflows=WorkflowService(db, reader, runs, clock),
        instances=InstanceService(db, reader, catalogue, runs, clock),
        packages=packages,
        links=links,
        boards=BoardService(db, broker, fleet, clock),
        history=RunHistory(db),
        board_states=BoardStore(db).states,
        broker=broker,
        clock=clock,
        check=lambda: db.command("ping"),
    )
