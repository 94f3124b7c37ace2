"""The stack that storms strike: two api and two orchestrator processes, four boards, and a link on every way between.

Every process reaches the broker, and every server process the database, over a link of its own. Boards fetch packages
from one address, behind which both api processes answer. What dies by itself is started again, as systemd does it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

from tests.chaos.clock import ShiftedClock
from tests.chaos.disk import SmallDisk
from tests.servers.balancer import Balancer
from tests.servers.broker import create_vhost
from tests.servers.mongod import MongoServer
from tests.servers.proxy import Link, Proxy
from tests.servers.rabbitmq import RabbitNode
from tests.servers.stack import RealStack

BOARDS = ("board-1", "board-2", "board-3", "board-4")
APIS = ("api", "api-2")
ORCHESTRATORS = ("orchestrator", "orchestrator-2")
#: Attempts at a time of one board.
SLOTS = 3
#: The board whose disk is small, and the one whose clock can be shifted.
SMALL, SHIFTED = "board-4", "board-3"
#: Seconds between two looks for processes that died by themselves.
LOOK = 0.5

#: Settings of boards beside the common ones. One keeps almost no package, so that it fetches them again and again.
_AS_AGENT = {"sandbox": "none", "step_account": str(os.getuid())}
SETTINGS: dict[str, dict[str, str]] = {
    "board-1": {},
    "board-2": {**_AS_AGENT, "cache_bytes": "0"},
    "board-3": _AS_AGENT,
    "board-4": _AS_AGENT,
}


class ChaosStack:
    """A running stack; use as a context manager.

    Parameters:
        rabbitmq, mongod: servers of its own, already started.
        directory: an empty directory for logs and the boards' state.
        shared: a folder that steps may share.
        say: is told one line of what happens by itself.

    Attributes:
        clients: where clients connect, an address for each api process.
        boards: ids of the boards by their names.
        accounts: URLs of their accounts on the broker, by their ids.
        disk: that of `SMALL`, which may be full.
        clock: that of `SHIFTED`, which may jump.
    """

    def __init__(
        self, rabbitmq: RabbitNode, mongod: MongoServer, directory: Path, shared: Path, say: Callable[[str], object]
    ) -> None:
        self.rabbitmq, self.mongod, self.directory = rabbitmq, mongod, directory
        self._shared, self._say = shared, say
        self._on = ExitStack()
        self._busy: defaultdict[str, Lock] = defaultdict(Lock)
        self._links: dict[tuple[str, str], Link] = {}
        self._over = Event()
        self._keeper = Thread(target=self._keep, name="keeper")
        self.clients: list[str] = []
        self.boards: dict[str, str] = {}
        self.accounts: dict[str, str] = {}

    def __enter__(self) -> ChaosStack:
        try:
            self._start()
        except BaseException:
            self._on.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._on.close()

    @property
    def links(self) -> list[Link]:
        """Every way that can be disturbed."""
        return self._proxy.links

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Nobody else kills or starts this process or server (`broker`, `database`) meanwhile."""
        with self._busy[name]:
            yield

    def board_directory(self, name: str) -> Path:
        """Where a board keeps its journal and its steps."""
        return self.disk.path if name == SMALL else self.real.state_of(name)

    def temporary(self, name: str) -> Path:
        """Where a process puts temporary files."""
        return self.directory / "tmp" / name

    def _start(self) -> None:
        self._proxy = self._on.enter_context(Proxy())
        front = self._on.enter_context(Balancer([]))
        boards_to_apis = self._proxy.link("boards to the apis", urlsplit(front.url).port or 0)
        vhost = create_vhost(self.rabbitmq)
        # Through a link the driver must not look for the address that the replica set tells of its member.
        self.database_url = self.mongod.url("workty")
        settings = {
            "WORKTY_PUBLIC_URL": f"http://127.0.0.1:{boards_to_apis.port}",
            "WORKTY_MONGO_URL": f"mongodb://127.0.0.1:{self.mongod.port}/workty?directConnection=true",
        }
        self.real = RealStack(vhost, self.database_url, self.directory, settings, route=self._route)
        self._on.enter_context(self.real)
        urls = [self.real.url, self.real.add_api()]
        self.real.add_orchestrator()
        for name, url in zip(APIS, urls, strict=True):
            front.add(urlsplit(url).port or 0)
            link = self._proxy.link(f"clients to {name}", urlsplit(url).port or 0)
            self.clients.append(f"http://127.0.0.1:{link.port}")
        self._add_boards(settings["WORKTY_PUBLIC_URL"])
        self._keeper.start()
        self._on.callback(self._keeper.join)
        self._on.callback(self._over.set)

    def _add_boards(self, server: str) -> None:
        self.disk = SmallDisk(self.real.state_of(SMALL), self.directory)
        self._on.callback(self.disk.end)
        self.clock = ShiftedClock(self.directory / "clock")
        for name in BOARDS:
            board = self.real.add_board(
                name,
                slots=SLOTS,
                wrapper=self.disk.wrapper if name == SMALL else (),
                environ=self.clock.environ if name == SHIFTED else {},
                server_url=server,
                step_shared=str(self._shared),
                **SETTINGS[name],
            )
            self.boards[name] = board.id
            self.accounts[board.id] = board.amqp_url

    def _route(self, name: str, environ: dict[str, str]) -> dict[str, str]:
        """A process's settings with addresses of its own links."""
        self.temporary(name).mkdir(parents=True, exist_ok=True)
        routed = {**environ, "TMPDIR": str(self.temporary(name))}
        ways = {"WORKTY_AMQP_URL": ("the broker", self.rabbitmq.port)}
        if "WORKTY_MONGO_URL" in environ:
            ways["WORKTY_MONGO_URL"] = ("the database", self.mongod.port)
        for setting, (server, port) in ways.items():
            if (name, server) not in self._links:
                self._links[name, server] = self._proxy.link(f"{name} to {server}", port)
            routed[setting] = environ[setting].replace(f":{port}/", f":{self._links[name, server].port}/")
        return routed

    def _keep(self) -> None:
        while not self._over.wait(LOOK):
            for name, process in list(self.real.processes.items()):
                if not self._busy[name].acquire(blocking=False):
                    continue
                try:
                    if self.real.processes[name] is process and not process.alive:
                        last = process.tail(1)
                        self._say(f"{name} ended by itself with {process.exit_code} and is started again: {last}")
                        self.real.launch(name)
                finally:
                    self._busy[name].release()
