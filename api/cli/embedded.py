"""Everything in one process: the embedded database, the in-memory broker, REST and live API, and simulated boards.

For `workty up` and `workty demo`. Nothing is kept when it stops.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from api.cli.server import core_over, services_over, transport_settings
from api.live.channel import Channel
from api.live.telling import Telling
from api.server import create_app, listen, serve_threaded
from orchestrator import broker
from orchestrator.boards.store import INDEXES as BOARD_INDEXES
from orchestrator.catalogue.packages import PackageLinks, link_secret
from orchestrator.core import Orchestrator, utc_now
from orchestrator.database import create_indexes
from orchestrator.embedded import embedded_database
from orchestrator.errors import Unavailable
from orchestrator.runs.store import INDEXES as RUN_INDEXES
from orchestrator.seed import Seeded, seed
from orchestrator.settings import ServerSettings
from worker_agent.agent import SimulatedBoards
from worker_agent.settings import AgentSettings, IsolationSettings

BROKER = "memory://localhost/"
BOARDS = 2
SLOTS = 2


class EmbeddedStack:
    """The whole of Workty in this process.

    Args:
        settings: where to listen (port 0 takes a free one), and the first account.
    """

    def __init__(self, settings: ServerSettings) -> None:
        listener = listen(settings.host, settings.port)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"http://{host}:{listener.getsockname()[1]}"
        self._state = tempfile.TemporaryDirectory(prefix="workty-")
        database = embedded_database(expire=True)
        create_indexes(database, RUN_INDEXES, BOARD_INDEXES)
        self.seeded: Seeded = seed(database, settings.admin_email, settings.admin_password, utc_now())
        app = broker.server_app(BROKER)
        sender = broker.BoardSender(app)
        sender.declare()
        links = PackageLinks(link_secret(database), self.url)
        telling = Telling(Channel())
        core = core_over(database, sender, telling.audience, links, settings)
        services = services_over(core, database, sender, links, settings, telling.audience)
        web, _ = create_app(services, transport_settings(settings, self.url), telling)
        self._orchestrator = Orchestrator(core, app, sender)
        boards = [core.boards.add(f"board-{number}", utc_now()) for number in range(1, BOARDS + 1)]
        for board in boards:
            sender.add_board(board.id)
        self._server = serve_threaded(web, listener)
        self._boards = SimulatedBoards([self._board(board.id) for board in boards])

    def start(self) -> None:
        """Start all parts. Raises `Unavailable` if one of them does not start."""
        self._orchestrator.start()
        if not self._orchestrator.wait_until_ready(20.0) or not self._boards.start(20.0):
            raise Unavailable("The embedded stack did not start")

    def stop(self) -> None:
        """Stop all parts, within 5 s."""
        self._server.stop()
        self._boards.stop()
        self._orchestrator.stop()
        self._state.cleanup()

    def _board(self, board_id: str) -> AgentSettings:
        return AgentSettings(
            amqp_url=BROKER,
            board_id=board_id,
            server_url=self.url,
            state_dir=Path(self._state.name) / board_id,
            slots=SLOTS,
            # The steps of a demonstration are as trusted as who starts it, and it must run from any folder.
            isolation=IsolationSettings(sandbox="none", step_account=os.getuid(), step_host=True),
        )
