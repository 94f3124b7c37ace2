"""The services of the core that the transports use, put together once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pymongo.database import Database

from orchestrator.accounts.login import LoginService
from orchestrator.accounts.passwords import Passwords
from orchestrator.accounts.removal import AccountRemoval
from orchestrator.accounts.service import AccountService
from orchestrator.accounts.tokens import TokenService
from orchestrator.audit.service import AuditService
from orchestrator.boards.service import BoardService, Consequences, Queues
from orchestrator.boards.store import BoardStore
from orchestrator.catalogue.editing import CatalogueEditor
from orchestrator.catalogue.packages import PackageLinks, PackageStore
from orchestrator.catalogue.properties import WorktyProperties
from orchestrator.catalogue.removal import WorktyRemoval
from orchestrator.catalogue.service import CatalogueService
from orchestrator.idempotency import KeptAnswers
from orchestrator.live import NOBODY, Audience
from orchestrator.payments.purchases import Purchases
from orchestrator.payments.service import PaymentService
from orchestrator.pulse import Pulse
from orchestrator.runs.explaining import Explanations
from orchestrator.runs.history import RunHistory
from orchestrator.runs.logs import RunLogs
from orchestrator.runs.replay import Replays
from orchestrator.runs.store import RunStore
from orchestrator.workflows.drawings import DrawingService
from orchestrator.workflows.instances import InstanceService
from orchestrator.workflows.reading import Reader
from orchestrator.workflows.removal import Removal
from orchestrator.workflows.runs import Runs
from orchestrator.workflows.service import WorkflowService
from workties.tracing import NO_TRACING, Tracing


class Broker(Queues, Protocol):
    """The message broker, as far as requests need it."""

    def waiting(self) -> Mapping[str, int]:
        """How many events wait to be read, and how many dead letters there are, by queue. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Services:
    """What requests are carried out by. `check` returns if the database answers, and raises what it raises if not.

    `board_states` counts boards by state.
    """

    accounts: AccountService
    removal: AccountRemoval
    logins: LoginService
    tokens: TokenService
    audit: AuditService
    payments: PaymentService
    catalogue: CatalogueService
    editor: CatalogueEditor
    workty_properties: WorktyProperties
    workflows: WorkflowService
    instances: InstanceService
    drawings: DrawingService
    packages: PackageStore
    links: PackageLinks
    boards: BoardService
    history: RunHistory
    explanations: Explanations
    replays: Replays
    logs: RunLogs
    pulse: Pulse
    board_states: Callable[[], Mapping[str, int]]
    broker: Broker
    kept_answers: KeptAnswers
    clock: Callable[[], datetime]
    tracing: Tracing
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
    audience: Audience = NOBODY,
    name_email_login: bool = False,
    audit_days: float = 365,
    tracing: Tracing = NO_TRACING,
) -> Services:
    """All services on one database, one broker and one run engine; `fleet` is told what becomes of boards.

    `audience` is told what changes.
    """
    passwords = passwords or Passwords(clock)
    accounts = AccountService(db, passwords, runs, clock, audience)
    logins = LoginService(db, accounts, passwords, clock, by_name_and_email=name_email_login)
    packages = PackageStore(db)
    catalogue = CatalogueService(db, packages, accounts)
    reader = Reader(db, accounts, catalogue, runs)
    worktys = WorktyRemoval(db, packages, runs, clock, audience)
    return Services(
        accounts=accounts,
        removal=AccountRemoval(db, accounts, Removal(db, runs), worktys),
        logins=logins,
        tokens=TokenService(db, accounts, logins, clock),
        audit=AuditService(db, clock, audit_days),
        payments=PaymentService(db, Purchases(db, clock, audience), audience),
        catalogue=catalogue,
        editor=CatalogueEditor(db, catalogue, packages, worktys, clock, audience=audience),
        workty_properties=WorktyProperties(db, catalogue, audience),
        workflows=WorkflowService(db, reader, runs, clock, audience),
        instances=InstanceService(db, reader, catalogue, runs, clock, audience=audience),
        drawings=DrawingService(db, reader, audience),
        packages=packages,
        links=links,
        boards=BoardService(db, broker, fleet, clock, audience),
        history=RunHistory(db),
        explanations=Explanations(db, clock),
        replays=Replays(RunStore(db)),
        logs=RunLogs(db),
        pulse=Pulse(db),
        board_states=BoardStore(db).states,
        broker=broker,
        kept_answers=KeptAnswers(db, clock),
        clock=clock,
        tracing=tracing,
        check=lambda: db.command("ping"),
    )
