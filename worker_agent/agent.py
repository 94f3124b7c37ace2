"""Puts a board, or many simulated ones, on one Celery worker, and runs them until they are told to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from celery import Celery
from celery.worker import WorkController, state

from worker_agent.app import build_app
from worker_agent.board import Board
from worker_agent.broker import Broker
from worker_agent.errors import AgentError
from worker_agent.heartbeat import find_runtimes
from worker_agent.intake import Intake
from worker_agent.settings import AgentSettings
from worker_agent.stopping import StopSignal
from worker_agent.warm import WarmStart
from workties.process_log import log_to
from workties.tracing import NO_TRACING, Tracing

logger = logging.getLogger(__name__)

#: Loggers of Celery that tell of every message, also of those it rejects; the agent says it in its own words.
_CHATTY = ("celery.worker.strategy", "celery.app.trace")


class Agent:
    """Boards on one worker. `run` blocks; `stop` may be called from any thread or a signal handler.

    Celery keeps its wish to stop in the process, so there is one running agent a process.

    Args:
        boards: settings of each board; all of them on the same broker.
        on_ready: called each time when everything is consumed.
        tracing: records attempts.
    """

    def __init__(
        self,
        boards: Sequence[AgentSettings],
        on_ready: Callable[[], None] = lambda: None,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._on_ready = on_ready
        self._stopping = StopSignal()
        runtimes = find_runtimes()
        self._warm = WarmStart()
        self._boards = {settings.board_id: Board(settings, runtimes, self._warm, tracing) for settings in boards}
        broker = Broker(boards[0].amqp_url, boards[0].ca_file)
        self._app = build_app(broker, Intake(self._boards), self._stopping)

    def run(self, reason: str = "the agent was stopped") -> int:
        """Run until `stop`; returns an exit code."""
        for board in self._boards.values():
            board.start()
        try:
            return self._consume(self._app)
        finally:
            self._stop_boards(reason)
            self._warm.close()
            self._stopping.close()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()
        state.should_stop = 0

    def _stop_boards(self, reason: str) -> None:
        """Stop all boards at the same time: each may need its seconds."""
        threads = [threading.Thread(target=board.stop, args=(reason,)) for board in self._boards.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _consume(self, app: Celery) -> int:
        if self._stopping.is_set():
            return 0
        app.set_current()
        worker = WorkController(
            app=app, pool="solo", hostname="workty-board", quiet=True, ready_callback=lambda _: self._on_ready()
        )
        worker.start()
        state.should_stop = None
        return 0 if self._stopping.is_set() else (worker.exitcode or 1)


def serve(settings: AgentSettings, tracing: Tracing = NO_TRACING) -> int:
    """Run a real board until SIGTERM or SIGINT. Returns an exit code. For the main thread of a process."""
    log_to(sys.stderr, "INFO", settings.log_format, board=settings.board_id)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        agent = Agent([settings], tracing=tracing)

        def stop(number: int, frame: FrameType | None) -> None:
            agent.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        return agent.run()
    except AgentError as error:
        logger.error("%s", error)
        return 1
    finally:
        tracing.close()


class SimulatedBoards:
    """Boards in a thread of this process, e.g. on the in-memory broker that they share with the server.

    Args:
        boards: settings of each; a state directory each.
    """

    def __init__(self, boards: Sequence[AgentSettings]) -> None:
        self._ready = threading.Event()
        self._agent = Agent(boards, self._ready.set)
        self._thread = threading.Thread(target=self._agent.run, name="simulated-boards")

    def start(self, timeout_seconds: float = 10.0) -> bool:
        """Begin; True when the boards consume their queues."""
        self._thread.start()
        return self._ready.wait(timeout_seconds)

    def stop(self) -> None:
        """Stop every board as a board is stopped: steps are interrupted, events sent."""
        self._agent.stop()
        self._thread.join()
