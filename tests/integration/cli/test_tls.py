"""`workty api` with a certificate of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.integration.cli.commands import Command, Start, one_line
from tests.servers import waiting
from tests.servers.broker import Vhost
from tests.servers.ports import Ports
from tests.servers.stack import READY_SECONDS

#: Nothing listens on port 1.
AMQP, MONGO = "amqp://127.0.0.1:1/workty", "mongodb://127.0.0.1:1/workty"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings with a certificate of 127.0.0.1 that it signed itself, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    files = {"WORKTY_TLS_CERT": str(directory / "server.crt"), "WORKTY_TLS_KEY": str(directory / "server.key")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", files["WORKTY_TLS_CERT"], "-keyout", files["WORKTY_TLS_KEY"]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.fixture
def settings(vhost: Vhost, database_url: str, certificate: dict[str, str]) -> Iterator[dict[str, str]]:
    """All settings of an API on real servers, on a free port."""
    ports = Ports(1)
    urls = {"WORKTY_AMQP_URL": vhost.amqp_url, "WORKTY_MONGO_URL": database_url}
    yield {**urls, **certificate, "WORKTY_PORT": str(ports.numbers[0])}
    ports.release()


@pytest.mark.real
def test_the_api_is_served_over_tls(start: Start, settings: dict[str, str]) -> None:
    process = start("api", **settings)
    server, trusted = f"https://127.0.0.1:{settings['WORKTY_PORT']}", settings["WORKTY_TLS_CERT"]

    def serves() -> bool:
        assert process.alive, process.tail()
        try:
            return requests.get(f"{server}/readyz", verify=trusted, timeout=10).ok
        except requests.ConnectionError:
            return False

    waiting.until(serves, seconds=READY_SECONDS, what="the API to serve over TLS", tail=process.tail)
    answer = requests.get(f"{server}/api/v1/workflows", verify=trusted, timeout=10)
    assert answer.status_code == 401
    assert answer.headers["Strict-Transport-Security"]
    assert answer.json()["error"]["error_link"].startswith(server)


@pytest.mark.parametrize("key", ["certificate", "/nowhere/server.key"])
def test_a_key_that_cannot_be_used_is_one_line(command: Command, certificate: dict[str, str], key: str) -> None:
    wrong = certificate["WORKTY_TLS_CERT"] if key == "certificate" else key
    given = {**certificate, "WORKTY_TLS_KEY": wrong, "WORKTY_AMQP_URL": AMQP, "WORKTY_MONGO_URL": MONGO}
    line = one_line(command("api", **given), 2)
    assert line.startswith("workty: WORKTY_TLS_CERT and WORKTY_TLS_KEY cannot be used")
