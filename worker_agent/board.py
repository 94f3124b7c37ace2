"""One board: its journal, slots, packages and voice put together, and what it does with assignments."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime

from worker_agent import control
from worker_agent.broker import Broker
from worker_agent.errors import JournalUnavailable, StateDirInUse
from worker_agent.heartbeat import Vitals
from worker_agent.isolation import Isolation
from worker_agent.journal import Journal
from worker_agent.packages import Packages
from worker_agent.publisher import Publisher
from worker_agent.records import Key, Taken, ids_of, key_of
from worker_agent.runner import Runner
from worker_agent.settings import AgentSettings
from worker_agent.warm import WarmStart
from workties.messages import Assignment, Control, Heartbeat, Reason
from workties.process_log import about
from workties.tracing import NO_TRACING, Tracing

logger = logging.getLogger(__name__)

#: Attempts that have not ended, as a multiple of the slots; more are refused.
CAPACITY = 2
#: When the agent stops, seconds that steps get to end, and that events get to be sent.
STOP_GRACE, FLUSH_SECONDS = 3.0, 5.0


class Board:
    """One board, from its start to its end.

    Args:
        settings: whose board.
        runtimes: program that runs a language, by language.
        warm: forks the processes of steps; may be shared by boards.
        tracing: records attempts.

    Raises:
        StateDirInUse: another agent runs this board.
        NotIsolated: steps cannot run as the settings say.
    """

    def __init__(
        self,
        settings: AgentSettings,
        runtimes: Mapping[str, str],
        warm: WarmStart,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self.id = settings.board_id
        self._settings, self._runtimes = settings, runtimes
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(settings)
        steps = settings.state_dir / "steps"
        try:
            self._isolation = Isolation(settings.isolation, settings.slots, steps, warm)
        except BaseException:
            os.close(self._lock)
            raise
        broker = Broker(settings.amqp_url, settings.ca_file)
        self._journal = Journal(settings.state_dir / "journal.db", self.id, _now, self._on_event)
        self._vitals = Vitals(settings, self._journal, tuple(runtimes), _now)
        self._publisher = Publisher(
            self.id, broker, self._journal, self._heartbeat, heartbeat_seconds=settings.heartbeat_seconds
        )
        packages = Packages(settings.state_dir / "cache", settings.server_url, settings.cache_bytes, settings.ca_file)
        self._runner = Runner(
            steps,
            settings.slots,
            journal=self._journal,
            publisher=self._publisher,
            packages=packages,
            isolation=self._isolation,
            runtimes=runtimes,
            now=_now,
            tracing=tracing,
        )

    def start(self) -> None:
        """Report what was cut short, connect, and go on with what waits."""
        self._runner.recover()
        self._publisher.start()
        self._runner.fill()

    def stop(self, reason: str) -> None:
        """End every step, report it, say goodbye. Assignments must have ceased to come before."""
        # The server takes a board for leaving at the first step that ends for this, and for back at a heartbeat.
        self._publisher.hush()
        try:
            self._runner.shutdown(STOP_GRACE)
        except JournalUnavailable as error:
            logger.error("%s What was not written is told at the next start", error)
        if not self._publisher.stop(lambda: self._vitals.bye(reason), FLUSH_SECONDS):
            with about(board=self.id):
                logger.warning("The broker is away; %d events stay here", self._journal.queued())
        self._journal.close()
        self._isolation.close()
        os.close(self._lock)

    def take(self, assignment: Assignment) -> None:
        """Take charge of an attempt, or refuse it; either is answered."""
        with about(board=self.id, **ids_of(key_of(assignment))):
            self._take(assignment)

    def _take(self, assignment: Assignment) -> None:
        taken = self._journal.take(
            assignment, refusal=self._refusal(assignment), capacity=CAPACITY * self._settings.slots
        )
        logger.info("Assigned (%s)", taken.value)
        if taken is Taken.NEW:
            self._runner.supersede(key_of(assignment))
            self._runner.fill()

    def refuse(self, key: Key, reason: Reason) -> None:
        """Refuse an attempt whose assignment makes no sense."""
        self._journal.refuse(key, reason)

    def follow(self, message: Control) -> None:
        """Carry out a stop, pause or forget."""
        with about(board=self.id, **ids_of(key_of(message))):
            control.follow(message, self._runner)

    def _refusal(self, assignment: Assignment) -> Reason | None:
        language = assignment.workty.language
        if language in self._runtimes:
            return None
        found = ", ".join(self._runtimes)
        return Reason("no-runtime", f"board '{self.id}' cannot run {language}, only {found}. Install it on the board")

    def _on_event(self) -> None:
        self._publisher.wake()

    def _heartbeat(self) -> Heartbeat:
        return self._vitals.heartbeat()


def _lock(settings: AgentSettings) -> int:
    fd = os.open(settings.state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StateDirInUse(
            f"Another agent runs in {settings.state_dir}. Stop it, or set WORKTY_STATE_DIR to another directory"
        ) from error
    return fd


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
