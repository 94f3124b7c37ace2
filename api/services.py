"""The services of the core that the transports use, put together once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.database import Database

from orchestrator.accounts.passwords import Passwords
from orchestrator.accounts.service import AccountService
from orchestrator.accounts.tokens import TokenService
from orchestrator.catalogue.packages import PackageLinks, PackageStore
from orchestrator.catalogue.service import CatalogueService
from orchestrator.workflows.instances import InstanceService
from orchestrator.workflows.reading import Reader
from orchestrator.workflows.runs import Runs
from orchestrator.workflows.service import WorkflowService


@dataclass(frozen=True, slots=True)
class Services:
    """What requests are carried out by. `check` returns if the database answers, and raises what it raises if not."""

    accounts: AccountService
    tokens: TokenService
    catalogue: CatalogueService
    workflows: WorkflowService
    instances: InstanceService
    packages: PackageStore
    links: PackageLinks
    clock: Callable[[], datetime]
    check: Callable[[], object]


def assemble(
    db: Database[dict[str, Any]],
    runs: Runs,
    links: PackageLinks,
    clock: Callable[[], datetime],
    passwords: Passwords | None = None,
) -> Services:
    """All services on one database and one run engine."""
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
        clock=clock,
        check=lambda: db.command("ping"),
    )
