"""Runs the attempts that the journal holds, as many at a time as the board has slots.

The same path after an assignment and after a reboot. What an attempt's program does is watched in `supervise`; which
orders there are is decided in `control`.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import platform
import shutil
import threading
import time
from bisect import insort
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from worker_agent.commands import command, make_executable
from worker_agent.errors import Cancelled, JournalUnavailable, PackageUnavailable, StepNotStarted
from worker_agent.isolation import Isolation
from worker_agent.journal import JOURNAL_WAIT, Journal
from worker_agent.orders import Orders, Stop
from worker_agent.outcome import Outcome
from worker_agent.packages import Packages
from worker_agent.process import Launch
from worker_agent.publisher import Publisher
from worker_agent.records import Key, ids_of, key_of
from worker_agent.reporter import Reporter
from worker_agent.room import Room
from worker_agent.state_spans import StateSpans
from worker_agent.supervise import Supervisor
from workties.errors import BadPackage
from workties.messages import Assignment, Interrupted, Reason
from workties.process_log import about
from workties.protocol import step_input
from workties.tracing import NO_TRACING, Tracing

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Seconds between two tries to prepare a step on a full disk, and how long it is tried.
ROOM_WAIT, ROOM_SECONDS = 2.0, 120.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Runner:
    """The slots of one board.

    Args:
        directory: where each step gets a directory of its own; nothing else is in it.
        slots: how many steps run at the same time.
        isolation: what its steps may do; starts them.
        runtimes: program that runs a language, by language.
        now: the time as ISO 8601 text.
        tracing: records attempts and the states in which their programs are.
    """

    def __init__(
        self,
        directory: Path,
        slots: int,
        *,
        journal: Journal,
        publisher: Publisher,
        packages: Packages,
        isolation: Isolation,
        runtimes: Mapping[str, str],
        now: Callable[[], str],
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._tracing = tracing
        self._directory, self._slots, self._journal, self._publisher = directory, slots, journal, publisher
        self._packages, self._isolation, self._runtimes, self._now = packages, isolation, runtimes, now
        self._free = list(range(slots))
        self._changed = threading.Condition()
        self._orders: dict[Key, Orders] = {}
        self._stopping = False

    def recover(self) -> None:
        """After a start: say what an earlier agent did not end. To be called before anything else.

        Nothing of it runs any more: guardians end their steps when their agent is gone.
        """
        for key in self._journal.running():
            with about(**ids_of(key)):
                logger.warning("Cut short by a restart")
            reason = Reason("reboot", "the board or its agent was restarted")
            checkpoint = self._journal.checkpoint(key)
            self._journal.end(key, partial(Interrupted, reason=reason, checkpoint=checkpoint))
        for rest in self._directory.iterdir():
            _remove(rest)

    def fill(self) -> None:
        """Begin attempts that wait, if slots are free. One instance never runs twice."""
        with self._changed:
            if self._stopping or len(self._orders) >= self._slots:
                return
            for assignment in self._journal.accepted():
                key = key_of(assignment)
                if len(self._orders) < self._slots and not self._instances_running(key):
                    self._orders[key] = Orders()
                    arguments = (assignment, self._orders[key], self._free.pop(0))
                    threading.Thread(target=self._work, args=arguments, name=f"step-{assignment.instance}").start()

    def stop(self, key: Key, stop: Stop) -> None:
        """End an attempt, whether it runs, waits, or is not known here."""
        with self._changed:
            if key in self._orders:
                self._orders[key].order_stop(stop)
            else:
                self._journal.interrupt(key, stop.reason)

    def pause(self, key: Key) -> None:
        """Pause a program that runs at its next checkpoint, and an attempt whose program does not run at once."""
        with self._changed:
            if key in self._orders:
                self._orders[key].order_pause()
            else:
                self._journal.interrupt(key, Reason("paused", "paused before it began"))

    def forget(self, key: Key) -> None:
        """Kill an attempt and say nothing more about it."""
        with self._changed:
            if key in self._orders:
                self._orders[key].order_forget()
            self._journal.forget(key)

    def supersede(self, key: Key) -> None:
        """Stop older running attempts of the same instance; the new one begins when they have ended."""
        with self._changed:
            # The new one may run already: a step that ended meanwhile has given its slot to what the journal holds.
            for older in (found for found in self._instances_running(key) if found.attempt < key.attempt):
                reason = Reason("stopped", f"attempt {key.attempt} took its place")
                self._orders[older].order_stop(Stop(reason))

    def shutdown(self, grace_seconds: float) -> None:
        """End everything that runs or waits, with its checkpoint; returns when all has ended."""
        reason = Reason("agent-stop", "the agent was stopped")
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            for orders in self._orders.values():
                orders.order_stop(Stop(reason, grace_seconds))
            self._changed.wait_for(lambda: not self._orders)
        for assignment in self._journal.accepted():
            self._journal.interrupt(key_of(assignment), reason)

    # --- one attempt, in a thread of its own

    def _work(self, assignment: Assignment, orders: Orders, slot: int) -> None:
        ids = {"board": assignment.board, **ids_of(key_of(assignment))}
        with about(**ids), self._tracing.span("attempt", assignment.trace, workty=assignment.workty.name, **ids):
            self._work_on(assignment, orders, slot)

    def _work_on(self, assignment: Assignment, orders: Orders, slot: int) -> None:
        key = key_of(assignment)
        try:
            if self._written(lambda: self._journal.begin(key)):
                logger.info("Begins (%s)", assignment.workty.name)
                logger.info("Ended: %s", self._perform(assignment, orders, slot))
        except JournalUnavailable:
            logger.error("The agent stops before it could write what became of it; its next start tells")
        finally:
            with self._changed:
                del self._orders[key]
                insort(self._free, slot)
                orders.close()
                self._changed.notify_all()
            self.fill()

    def _perform(self, assignment: Assignment, orders: Orders, slot: int) -> str:
        """Run an attempt and tell of its end; returns how it ended."""
        states = StateSpans(self._tracing)
        reporter = Reporter(
            key_of(assignment), self._journal, self._publisher, self._now, wait=orders.wait, states=states
        )
        tell = self._attempt(assignment, orders, reporter, slot)
        states.end()
        return self._written(tell)

    def _attempt(self, assignment: Assignment, orders: Orders, reporter: Reporter, slot: int) -> Callable[[], str]:
        """Run the program; what is to be told of its end."""
        try:
            outcome = self._run(assignment, orders, reporter, slot)
        except Cancelled:
            reason = orders.stop.reason if orders.stop else Reason("paused", "paused before it began")
            return lambda: reporter.interrupt(reason)
        except (PackageUnavailable, BadPackage, OSError) as error:
            return partial(reporter.fail, "package", str(error))
        except (JournalUnavailable, StepNotStarted) as error:
            return partial(reporter.fail, "crash", str(error))
        except Exception:
            logger.exception("The agent failed")
            return partial(reporter.fail, "crash", "the board's agent failed; its log says why")
        return lambda: reporter.end(outcome)

    def _written(self, write: Callable[[], T]) -> T:
        """What `write` returns, which is tried until the journal can be written.

        Raises:
            JournalUnavailable: it could not be written until the agent was stopped.
        """
        while True:
            try:
                return write()
            except JournalUnavailable as error:
                logger.error("%s Trying again in %g s", error, JOURNAL_WAIT)
                with self._changed:
                    if self._changed.wait_for(lambda: self._stopping, JOURNAL_WAIT):
                        raise

    def _run(self, assignment: Assignment, orders: Orders, reporter: Reporter, slot: int) -> Outcome:
        key = key_of(assignment)
        directory = self._input_file(key).parent
        try:
            state = assignment.checkpoint.state if assignment.checkpoint else ""
            launch = self._prepare_when_room(assignment, directory, orders)
            if orders.stop or orders.pause:
                raise Cancelled
            process = self._isolation.start(self._isolation.confine(launch, slot, assignment.access))
            try:
                room = Room(launch.home, assignment.limits.disk)
                return Supervisor(process, orders, reporter, assignment.limits, state=state, room=room).run()
            finally:
                process.close()
        finally:
            _remove(directory)

    def _prepare_when_room(self, assignment: Assignment, directory: Path, orders: Orders) -> Launch:
        """As `_prepare`. A disk that is full now may have room soon, and the step was taken."""
        until = time.monotonic() + ROOM_SECONDS
        while True:
            try:
                return self._prepare(assignment, directory, orders)
            except OSError as error:
                if error.errno not in _FULL or time.monotonic() >= until:
                    raise
                logger.error(
                    "%s: no room for its files (%s). Trying again in %g s", key_of(assignment), error, ROOM_WAIT
                )
                _remove(directory)
                if orders.wait(ROOM_WAIT):
                    raise Cancelled from error

    def _prepare(self, assignment: Assignment, directory: Path, orders: Orders) -> Launch:
        """Make the step's directory: its package, its home, its input."""
        if assignment.package is None:
            raise BadPackage(f"The workty '{assignment.workty.name}' has no code. Upload a package for it")
        self._isolation.refuse(assignment.workty.name, assignment.access)
        package, home = directory / "package", directory / "home"
        home.mkdir(parents=True)
        self._packages.unpack(assignment.package, package, orders.wait)
        entry, root = assignment.workty.entry, package.resolve()
        found = (package / entry).resolve()
        if not entry or not found.is_relative_to(root) or not found.is_file():
            raise BadPackage(f"The package has no file '{entry}', which is the entry point. Check the workty's entry")
        if assignment.workty.language == "executable":
            make_executable(found, entry, platform.machine())
        input_file = self._input_file(key_of(assignment))
        input_file.write_bytes(step_input(assignment))
        return Launch(
            command=command(assignment.workty.language, entry, package, self._runtimes, assignment.limits.memory),
            package=package,
            home=home,
            input_file=input_file,
            limits=assignment.limits,
        )

    def _instances_running(self, key: Key) -> list[Key]:
        return [found for found in self._orders if found[:2] == key[:2]]

    def _input_file(self, key: Key) -> Path:
        # Ids come from outside and must not become paths.
        name = hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()[:24]
        return self._directory / name / "input.json"


def _remove(directory: Path) -> None:
    """Remove a directory, also one in which a program made folders that it may not read itself."""
    shutil.rmtree(directory, ignore_errors=True)
    if not directory.exists():
        return
    for path, folders, _ in os.walk(directory):
        for folder in (Path(path, name) for name in folders):
            if not folder.is_symlink():
                folder.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)
