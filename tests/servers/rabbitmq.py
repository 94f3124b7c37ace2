"""A private RabbitMQ node: started, killed, restarted and removed by tests, as root or as a plain user.

What tests do with a running broker (virtual hosts, accounts) is in `tests.servers.broker`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers import waiting
from tests.servers.broker import Broker, BrokerMissing, ExternalBroker, Management, account_url
from tests.servers.ports import Ports, is_open
from tests.servers.process import ServerProcess

#: Not /usr/sbin/rabbitmq-server, which changes to the package's own user and paths.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
#: Seconds until a node must answer; six on a PC, a minute and more on a small board under load.
READY_SECONDS = 240

MISSING = (
    "There is no RabbitMQ to test with. `make test` installs it (Debian, Ubuntu, Raspberry Pi OS: "
    "apt-get install rabbitmq-server), or set WORKTY_TEST_AMQP_URL=amqp://host:5672 and "
    "WORKTY_TEST_AMQP_MANAGEMENT_URL=http://admin:password@host:15672 to use a running one"
)


class RabbitNode:
    """One node on free ports of 127.0.0.1, with all its files in a temporary directory.

    Use as a context manager, or `start` and `stop`.

    Parameters:
        plugins: those that it has besides management; each makes it start later.
        settings: further lines of its configuration.
    """

    def __init__(self, *, plugins: Sequence[str] = (), settings: Mapping[str, object] | None = None) -> None:
        if not PROGRAM.exists():
            raise BrokerMissing(MISSING)
        self._directory = Path(tempfile.mkdtemp(prefix="workty-rabbitmq-"))
        self._ports = Ports(4)
        self._amqp, self._dist, self._epmd, http = self._ports.numbers
        self._process: ServerProcess | None = None
        password = secrets.token_hex(16)
        self.management = Management(f"http://admin:{password}@127.0.0.1:{http}")
        _write_files(self._directory, ["rabbitmq_management", *plugins])
        _write_config(self._directory, amqp=self._amqp, http=http, password=password, further=settings or {})

    @property
    def port(self) -> int:
        """Where it takes AMQP, on 127.0.0.1."""
        return self._amqp

    def __enter__(self) -> RabbitNode:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def amqp_url(self, user: str, password: str, vhost: str) -> str:
        """Where an account reaches `vhost`."""
        return account_url(f"127.0.0.1:{self._amqp}", user, password, vhost)

    def start(self) -> None:
        """Start the node and return when it takes AMQP and management requests."""
        self._process = ServerProcess(
            [str(PROGRAM)], directory=self._directory, environ=self._environ(), name="rabbitmq"
        )
        try:
            waiting.until(self._ready, seconds=READY_SECONDS, what="RabbitMQ to start", tail=self._process.tail)
        except BaseException:
            self.stop()
            raise

    def kill9(self) -> None:
        """Kill the node and its helpers at once, as a power cut does. Its files stay for `restart`."""
        if self._process is not None:
            self._process.end()

    def restart(self) -> None:
        """Start the node again on the same ports with the same files, killing it first if it runs."""
        self.kill9()
        self.start()

    def stop(self) -> None:
        """End the node and remove everything of it."""
        self.kill9()
        self._ports.release()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _ready(self) -> bool:
        assert self._process is not None
        if not self._process.alive:
            raise RuntimeError(f"RabbitMQ ended while it started\n{self._process.tail()}")
        return is_open(self._amqp) and self.management.ready()

    def _environ(self) -> dict[str, str]:
        base = self._directory
        return {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(base / "home"),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "workty@localhost",
            "RABBITMQ_NODE_PORT": str(self._amqp),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_MNESIA_BASE": str(base / "mnesia"),
            "RABBITMQ_LOG_BASE": str(base / "log"),
            "RABBITMQ_CONFIG_FILE": str(base / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(base / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(base / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(base / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }


def find_broker(environ: Mapping[str, str]) -> Broker:
    """The broker that the environment names, else a node of our own, not yet started.

    Raises:
        BrokerMissing: neither is there.
    """
    url = environ.get("WORKTY_TEST_AMQP_URL")
    if not url:
        return RabbitNode()
    management = environ.get("WORKTY_TEST_AMQP_MANAGEMENT_URL")
    if not management:
        raise BrokerMissing(
            "WORKTY_TEST_AMQP_URL is set but WORKTY_TEST_AMQP_MANAGEMENT_URL is not; tests add virtual hosts and "
            "accounts through it. Set it, e.g. http://admin:password@host:15672"
        )
    return ExternalBroker(url, management)


def _write_files(directory: Path, plugins: Sequence[str]) -> None:
    (directory / "home").mkdir()
    cookie = directory / "home" / ".erlang.cookie"
    cookie.touch(mode=0o600)
    cookie.write_text(secrets.token_hex(16))
    (directory / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")


def _write_config(directory: Path, *, amqp: int, http: int, password: str, further: Mapping[str, object]) -> None:
    settings = {
        "listeners.tcp.1": f"127.0.0.1:{amqp}",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": http,
        "default_user": "admin",
        "default_pass": password,
        "default_user_tags.administrator": "true",
        "loopback_users": "none",
        "vm_memory_high_watermark.absolute": "512MB",
        "disk_free_limit.absolute": "50MB",
        **further,
    }
    config = directory / "rabbitmq.conf"
    config.touch(mode=0o600)
    config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
