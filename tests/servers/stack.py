"""The whole of Workty as its users run it: api, orchestrator and agents as processes, started by the command line.

For acceptance tests, chaos tests and benchmarks. RabbitMQ and MongoDB are given; which tests do what is not known here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.servers import waiting
from tests.servers.broker import Vhost
from tests.servers.ports import Ports
from tests.servers.process import ServerProcess
from workties.messages import board_queue

#: The command line, installed beside the interpreter that runs the tests.
WORKTY = str(Path(sys.executable).with_name("workty"))
#: Seconds until a process must be ready; one or two on a PC.
READY_SECONDS = 120
REQUEST_SECONDS = 60
ADMIN = ("supervisor@localhost", "not-a-secret-in-tests")

#: Changes what a process is told: its name and settings give the settings that it gets.
Route = Callable[[str, dict[str, str]], dict[str, str]]


@dataclass(frozen=True)
class Board:
    """A board of the stack: its id, the name of its process, and its account on the broker."""

    id: str
    process: str
    amqp_url: str = field(repr=False)


class RealStack:
    """One api and one orchestrator process, and as many further ones and agents as are added.

    Processes are known by name: `api` (further ones `api-2`, ...), `orchestrator` (likewise), and what boards are
    called.

    Parameters:
        vhost: the broker's virtual host for this stack.
        database_url: its database.
        directory: an empty directory for logs and the agents' state.
        settings: further settings of the server's processes, as environment variables.
        route: has a process reach what it needs in a way of its own, e.g. through a proxy.
    """

    def __init__(
        self,
        vhost: Vhost,
        database_url: str,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        *,
        route: Route = lambda name, environ: environ,
    ) -> None:
        self.vhost = vhost
        self._directory = directory
        self._route = route
        self._ports = Ports(1)
        self._more_ports: list[Ports] = []
        self.url = f"http://127.0.0.1:{self._ports.numbers[0]}"
        self.environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "WORKTY_AMQP_URL": vhost.amqp_url,
            "WORKTY_MONGO_URL": database_url,
            "WORKTY_PORT": str(self._ports.numbers[0]),
            "WORKTY_ADMIN_EMAIL": ADMIN[0],
            "WORKTY_ADMIN_PASSWORD": ADMIN[1],
            **(settings or {}),
        }
        self._agents: dict[str, dict[str, str]] = {}
        self._wrappers: dict[str, Sequence[str]] = {}
        self._apis = {"api": self.environ}
        self._orchestrators = ["orchestrator"]
        self._started: list[ServerProcess] = []
        self.processes: dict[str, ServerProcess] = {}

    def __enter__(self) -> RealStack:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server's processes and return when REST answers and the orchestrator reads events."""
        try:
            for name in ("api", "orchestrator"):
                self.launch(name)
            self._until_ready("api")
            self._until_ready("orchestrator")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all processes, and what they started."""
        for process in self._started:
            process.end()
        for ports in (self._ports, *self._more_ports):
            ports.release()

    def add_api(self) -> str:
        """Start a further api process; its URL, which answers."""
        name, ports = f"api-{len(self._apis) + 1}", Ports(1)
        self._more_ports.append(ports)
        public = self.environ.get("WORKTY_PUBLIC_URL", self.url)
        self._apis[name] = {**self.environ, "WORKTY_PORT": str(ports.numbers[0]), "WORKTY_PUBLIC_URL": public}
        self.launch(name)
        self._until_ready(name)
        return self._url_of(name)

    def add_orchestrator(self) -> str:
        """Start a further orchestrator process, which reads events; its name."""
        name = f"orchestrator-{len(self._orchestrators) + 1}"
        self._orchestrators.append(name)
        self.launch(name)
        self._until_ready(name)
        return name

    def state_of(self, board: str) -> Path:
        """Where the agent of a board keeps its journal."""
        return self._directory / f"{board}-state"

    def add_board(
        self,
        name: str,
        *,
        slots: int = 1,
        wrapper: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        **settings: str,
    ) -> Board:
        """Add a board with `workty board add`, start its agent, and return when it takes work.

        Parameters:
            wrapper: a command with its arguments that runs the agent's, which is put behind it.
            environ: further environment variables of the agent.
            settings: further settings of the agent, lower case without prefix, e.g. `labels="camera"`.
        """
        board_id = json.loads(self.command("board", "add", name, "--json"))["id"]
        state = self.state_of(name)
        own = {"slots": str(slots), "state_dir": str(state), "board_id": board_id, "server_url": self.url, **settings}
        own["amqp_url"] = self.vhost.add_board_account(board_id, f"password-of-{name}")
        common = {key: value for key, value in self.environ.items() if not key.startswith("WORKTY_")}
        self._agents[name] = (
            common | {f"WORKTY_{key.upper()}": value for key, value in own.items()} | dict(environ or {})
        )
        self._wrappers[name] = wrapper
        self.launch(name)
        waiting.until(
            lambda: self._runs(name) and self.vhost.consumers(board_queue(board_id)),
            seconds=READY_SECONDS,
            what=f"the agent of {name} to take work",
            tail=self.tails,
        )
        return Board(id=board_id, process=name, amqp_url=own["amqp_url"])

    def launch(self, name: str) -> None:
        """Start a process by its name, without waiting for it to be ready."""
        kind = "agent" if name in self._agents else "api" if name in self._apis else "orchestrator"
        command = [*self._wrappers.get(name, ()), WORKTY, kind]
        environ = self._route(name, self._agents.get(name, self._apis.get(name, self.environ)))
        process = ServerProcess(command, directory=self._directory, environ=environ, name=name)
        self.processes[name] = process
        self._started.append(process)

    def kill9(self, name: str) -> None:
        """Kill one process as the kernel does when memory runs out; programs of steps that it started live on."""
        self.processes[name].kill9()

    def power_cut(self, name: str) -> None:
        """Kill a process and everything it started at once; its files stay."""
        self.processes[name].end()

    def restart(self, name: str) -> None:
        """Start a process again, after SIGTERM if it still runs; a server's process is ready on return.

        What a killed process left behind lives on beside the new one until `stop`.
        """
        self.processes[name].terminate()
        self.launch(name)
        if name not in self._agents:
            self._until_ready(name)

    def command(self, *arguments: str) -> str:
        """Run `workty <arguments>` with the server's settings; returns what it prints."""
        run = subprocess.run(
            [WORKTY, *arguments],
            env=self.environ,
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=REQUEST_SECONDS,
            check=False,
        )
        if run.returncode:
            raise RuntimeError(
                f"workty {' '.join(arguments)} ended with {run.returncode}\n{run.stderr}\n{self.tails()}"
            )
        return run.stdout

    def rest(self, method: str, path: str, body: object = None, *, login: tuple[str, str] = ADMIN) -> Any:
        """Send a REST request to `/api/v1<path>`; returns the JSON answer, None if empty.

        Raises:
            requests.HTTPError: the answer is not 2xx; the message has its body.
            RuntimeError: there is no answer; the message has the processes' last words.
        """
        address = f"{self.url}/api/v1{path}"
        try:
            answer = requests.request(method, address, json=body, auth=login, timeout=REQUEST_SECONDS)
        except requests.RequestException as error:
            raise RuntimeError(f"{method} {path}: {error}\n{self.tails()}") from error
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}", response=answer)
        return answer.json() if answer.content else None

    def left_behind(self) -> list[str]:
        """What was started by commands that have ended since, and still runs: process id and command."""
        ended = [process for process in self._started if not process.alive]
        return [found for process in ended for found in process.descendants()]

    def tails(self) -> str:
        """The last lines of every process's log."""
        return "\n".join(f"--- {name}\n{process.tail()}" for name, process in self.processes.items())

    def _until_ready(self, name: str) -> None:
        def ready() -> bool:
            return self._runs(name) and (self._serves(name) if name in self._apis else self._consumes())

        waiting.until(ready, seconds=READY_SECONDS, what=f"{name} to be ready", tail=self.tails)

    def _runs(self, name: str) -> bool:
        if not self.processes[name].alive:
            raise RuntimeError(f"{name} ended with {self.processes[name].exit_code}\n{self.tails()}")
        return True

    def _url_of(self, api: str) -> str:
        return f"http://127.0.0.1:{self._apis[api]['WORKTY_PORT']}"

    def _serves(self, api: str) -> bool:
        try:
            return requests.get(f"{self._url_of(api)}/healthz", timeout=REQUEST_SECONDS).ok
        except requests.ConnectionError:
            return False

    def _consumes(self) -> bool:
        return len(self.vhost.consumers("events")) >= len(self._orchestrators)
