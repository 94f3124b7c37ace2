"""Puts the core together: the one place that knows which part needs which. No rule lives here."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

from celery import Celery
from pymongo.database import Database
from pymongo.errors import PyMongoError

from orchestrator import broker
from orchestrator.boards.explaining import Explainer
from orchestrator.boards.fleet import Fleet
from orchestrator.boards.slots import SlotAllocator
from orchestrator.boards.store import BoardStore
from orchestrator.errors import OrchestratorError, brief
from orchestrator.events import EventHandler
from orchestrator.listener import Listener
from orchestrator.live import Audience
from orchestrator.log_events import LogHandler
from orchestrator.payments.purchases import Purchases
from orchestrator.pulse import Pulse
from orchestrator.runs.differences import Differences
from orchestrator.runs.effects import Boards, Effects, Links
from orchestrator.runs.engine import Engine
from orchestrator.runs.log_keeper import LogKeeper
from orchestrator.runs.logs import RunLogs
from orchestrator.runs.reconcile import Reconciler, Timing
from orchestrator.runs.service import RunService
from orchestrator.runs.snapshot import Snapshots
from orchestrator.runs.store import RunStore
from orchestrator.runs.vocabulary import Run, RunEvent
from orchestrator.runs.waiting import WaitingRuns
from workties.tracing import NO_TRACING, Tracing

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The moment, UTC, to the millisecond as MongoDB keeps it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@dataclass(frozen=True, slots=True)
class Core:
    """The run engine with everything around it, over one database and one broker."""

    boards: BoardStore
    engine: Engine
    fleet: Fleet
    reconciler: Reconciler
    runs: RunService
    purchases: Purchases
    logs: LogKeeper
    pulse: Pulse
    timing: Timing
    clock: Clock
    tracing: Tracing


def build_core(
    database: Database[dict[str, Any]],
    sender: Boards,
    audience: Audience,
    links: Links,
    *,
    timing: Timing | None = None,
    clock: Clock = utc_now,
    log_days: float = 30.0,
    tracing: Tracing = NO_TRACING,
) -> Core:
    """Put the core together. Nothing is connected, declared or started.

    Args:
        sender: the way down to boards, e.g. `broker.BoardSender`.
        audience: is told what happens.
        links: makes a signed, short-lived link for a stored package.
        log_days: how long lines of output are kept.
        tracing: records how requests become attempts, and what comes of them.
    """
    timing = timing or Timing()
    store, boards = RunStore(database), BoardStore(database)

    def handle(run_id: str, events: list[RunEvent]) -> Run | None:
        return engine.handle(run_id, events)

    slots = SlotAllocator(boards, store, handle, clock, audience)
    effects = Effects(
        database=database,
        runs=store,
        boards=sender,
        slots=slots,
        audience=audience,
        links=links,
        clock=clock,
        tracing=tracing,
    )
    differences = Differences()
    engine = Engine(store, effects, clock, lambda: uuid.uuid4().hex, differences, tracing=tracing)
    fleet = Fleet(boards, store, slots, handle, clock, audience=audience, differences=differences)
    reconciler = Reconciler(
        engine=engine,
        effects=effects,
        runs=store,
        boards=boards,
        fleet=fleet,
        slots=slots,
        explainer=Explainer(WaitingRuns(database), clock, audience),
        differences=differences,
        timing=timing,
        clock=clock,
    )
    runs = RunService(database, store, engine, Snapshots(database), clock, waits_for=slots.before, tracing=tracing)
    logs = LogKeeper(RunLogs(database), store, audience, clock, timedelta(days=log_days))
    return Core(
        boards,
        engine,
        fleet,
        reconciler,
        runs,
        Purchases(database, clock, audience),
        logs,
        Pulse(database),
        timing,
        clock,
        tracing,
    )


@dataclass(slots=True)
class Orchestrator:
    """The orchestrator at work: reads what boards say, and sweeps. Any number may run beside each other."""

    core: Core
    app: Celery
    sender: broker.BoardSender
    _stopping: Event = field(default_factory=Event)
    _events: Listener = field(init=False)
    _logs: Listener = field(init=False)
    _sweeper: Thread = field(init=False)

    def __post_init__(self) -> None:
        core, keep, server = self.core, self.sender.dead_letter, broker.account(self.app)
        events = EventHandler(core.engine, core.fleet, keep, server)
        logs = LogHandler(core.logs, keep, server)
        self._events = Listener(self.app, broker.events_queue(), events.apply, broker.declare, core.clock)
        self._logs = Listener(self.app, broker.logs_queue(), logs.apply, broker.declare, core.clock)
        self._sweeper = Thread(target=self._sweep, name="reconciler", daemon=True)

    def start(self) -> None:
        """Start all threads and return at once."""
        self._events.start()
        self._logs.start()
        self._sweeper.start()

    def wait_until_ready(self, timeout: float) -> bool:
        """Whether events are being read, within `timeout` seconds."""
        return self._events.wait_until_connected(timeout)

    def stop(self) -> None:
        """Stop after what is being done now, within 5 s each. What was not acknowledged is delivered again later."""
        self._stopping.set()
        self._events.stop()
        self._logs.stop()
        for part in (self._events, self._logs, self._sweeper):
            part.join(timeout=5.0)

    def _sweep(self) -> None:
        while not self._stopping.wait(self.core.timing.sweep.total_seconds()):
            try:
                self.core.reconciler.sweep(self._events.silent_since())
                self.core.purchases.finish_abandoned()
                if self._events.read_until is not None:
                    self.core.pulse.note(self._events.read_until)
            except (PyMongoError, OrchestratorError) as error:
                log.warning("A sweep was not finished: %s", brief(error))
