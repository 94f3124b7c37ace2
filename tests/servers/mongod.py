"""A private mongod (a replica set of one) that tests start, kill, restart and remove; or one that somebody keeps."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from signal import Signals
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from tests.servers import waiting
from tests.servers.ports import Ports
from tests.servers.process import ServerProcess

#: Seconds until it must answer; one on a PC.
READY_SECONDS = 120
NOT_YET_INITIALIZED = 94

MISSING = (
    "There is no mongod to test with. `make test` installs one on x86-64; elsewhere install MongoDB 6 or newer so that "
    "mongod is on the PATH, or set WORKTY_TEST_MONGOD=/path/to/mongod, or set "
    "WORKTY_TEST_MONGO_URL=mongodb://host:27017/?replicaSet=rs0 to use a running one"
)


class DatabaseMissing(RuntimeError):
    """There is no MongoDB to test with. The message says what to install or to set."""


class Database(Protocol):
    """A MongoDB with room for tests."""

    def url(self, name: str) -> str:
        """Where the database `name` is."""


class MongoServer:
    """One mongod on a free port of 127.0.0.1, with all its files in a temporary directory.

    Use as a context manager, or `start` and `stop`.

    Parameters:
        program: path of the binary.
        parameters: what is told it with `--setParameter`.
    """

    def __init__(self, program: Path, **parameters: object) -> None:
        self._program = program
        self._parameters = parameters
        self._directory = Path(tempfile.mkdtemp(prefix="workty-mongod-"))
        (self._directory / "data").mkdir()
        self._ports = Ports(1)
        self._process: ServerProcess | None = None

    def __enter__(self) -> MongoServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, name: str) -> str:
        """Where the database `name` is."""
        return f"mongodb://{self._address}/{name}?replicaSet=rs0"

    def start(self) -> None:
        """Start the server and return when it takes writes."""
        port = str(self.port)
        command = [str(self._program), "--dbpath", "data", "--bind_ip", "127.0.0.1", "--port", port, "--nounixsocket"]
        command += ["--wiredTigerCacheSizeGB", "0.25", "--replSet", "rs0", "--oplogSize", "64", "--quiet"]
        command += [f"--setParameter={name}={value}" for name, value in self._parameters.items()]
        environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self._directory)}
        self._process = ServerProcess(command, directory=self._directory, environ=environ, name="mongod")
        try:
            with self._admin() as client:
                waiting.until(
                    lambda: self._ready(client), seconds=READY_SECONDS, what="mongod to start", tail=self._process.tail
                )
        except BaseException:
            self.stop()
            raise

    def kill9(self) -> None:
        """Kill the server at once, as a power cut does. Its files stay for `restart`."""
        if self._process is not None:
            self._process.end()

    def signal(self, number: Signals) -> None:
        """Send a signal to the server, if it runs."""
        if self._process is not None:
            self._process.signal(number)

    def restart(self) -> None:
        """Start the server again on the same port with the same files, killing it first if it runs."""
        self.kill9()
        self.start()

    def step_down(self, seconds: int) -> None:
        """Have it take no writes for `seconds`, as during an election; it does again on return."""
        with self._admin() as client:
            with contextlib.suppress(PyMongoError):  # it may close the connection before it answers
                client.admin.command("replSetStepDown", seconds, force=True)
            waiting.until(lambda: self._ready(client), seconds=READY_SECONDS, what="mongod to take writes again")

    def stop(self) -> None:
        """End the server and remove everything of it."""
        self.kill9()
        self._ports.release()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._ports.numbers[0]

    @property
    def data(self) -> Path:
        """The folder with its files."""
        return self._directory / "data"

    @property
    def _address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _admin(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self._address, directConnection=True, serverSelectionTimeoutMS=200)

    def _ready(self, client: pymongo.MongoClient[dict[str, Any]]) -> bool:
        assert self._process is not None
        if not self._process.alive:
            raise RuntimeError(f"mongod ended while it started\n{self._process.tail()}")
        try:
            client.admin.command("replSetGetStatus")
            return bool(client.admin.command("hello")["isWritablePrimary"])
        except OperationFailure as error:
            if error.code == NOT_YET_INITIALIZED:
                member = {"_id": 0, "host": self._address}
                settings = {"electionTimeoutMillis": 500}
                client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member], "settings": settings})
        except PyMongoError:
            pass  # it does not listen yet
        return False


class ExternalMongo:
    """A MongoDB that somebody else keeps, named by WORKTY_TEST_MONGO_URL."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def url(self, name: str) -> str:
        """Where the database `name` is; credentials still belong to the database of the original URL."""
        query = self._parts.query
        if self._parts.username and "authSource" not in parse_qs(query):
            query = "&".join(filter(None, [query, f"authSource={self._parts.path.lstrip('/') or 'admin'}"]))
        return self._parts._replace(path=f"/{name}", query=query).geturl()


def drop(url: str) -> None:
    """Drop the database that `url` names."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        client.drop_database(client.get_default_database())


def find_database(environ: Mapping[str, str]) -> Database:
    """The MongoDB that the environment names, else a server of our own, not yet started.

    Raises:
        DatabaseMissing: neither is there.
    """
    url = environ.get("WORKTY_TEST_MONGO_URL")
    return ExternalMongo(url) if url else own_server(environ)


def own_server(environ: Mapping[str, str], **parameters: object) -> MongoServer:
    """A server of our own with these parameters, not yet started: WORKTY_TEST_MONGOD, the dev extra's, or of the PATH.

    Raises:
        DatabaseMissing: there is no binary.
    """
    program = environ.get("WORKTY_TEST_MONGOD") or _installed()
    if not program or not Path(program).is_file():
        raise DatabaseMissing(MISSING)
    return MongoServer(Path(program), **parameters)


def _installed() -> str | None:
    """The binary of the dev extra, else the one on the PATH."""
    package = importlib.util.find_spec("fiftyone")
    for directory in (package.submodule_search_locations or []) if package else []:
        program = Path(directory) / "db" / "bin" / "mongod"
        if program.is_file():
            return str(program)
    return shutil.which("mongod")
