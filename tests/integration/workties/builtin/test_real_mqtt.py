"""mqtt-publish on a real MQTT broker: RabbitMQ's, on a node that has its plugin."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from paho.mqtt import subscribe

from tests.integration.workties.builtin.loading import FOLDER, properties_of
from tests.servers import waiting
from tests.servers.broker import BrokerMissing, Vhost, create_vhost, remove_vhost
from tests.servers.ports import Ports
from tests.servers.rabbitmq import RabbitNode
from workties import bounds

pytestmark = pytest.mark.real

MAIN = FOLDER / "mqtt-publish" / "main.py"
TOPIC = "garden/pump"
QUEUE = "heard"


@dataclass(frozen=True)
class Ended:
    """How a step ended, and what it said: its states, its output, and all text that it wrote anywhere."""

    code: int
    states: list[str]
    output: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Mqtt:
    """A broker with MQTT and a virtual host in which what is published to `TOPIC` comes to a queue."""

    vhost: Vhost
    tcp: int
    tls: int
    ca: str
    folder: Path

    @property
    def login(self) -> dict[str, Any]:
        account = urlsplit(self.vhost.amqp_url)
        return {
            "host": "127.0.0.1",
            "port": self.tcp,
            "topic": TOPIC,
            "username": f"{self.vhost.name}:{account.username}",
            "password": account.password,
            "timeout": 60,
        }

    def publish(self, **given: Any) -> Ended:
        """Run the step with these properties."""
        events, file = self.folder / "events", self.folder / "input.json"
        file.write_text(json.dumps({"properties": properties_of("mqtt-publish", **{**self.login, **given})}))
        with events.open("wb") as written:
            environ = {bounds.EVENTS_FD: str(written.fileno()), bounds.INPUT: str(file), "PATH": os.environ["PATH"]}
            command = [sys.executable, "-P", "-m", "workties.launch", str(MAIN)]
            done = subprocess.run(
                command, env=environ, pass_fds=[written.fileno()], capture_output=True, text=True, check=False
            )
        lines = [json.loads(line) for line in events.read_text().splitlines()]
        output = next((line["output"] for line in lines if line["type"] == "output"), {})
        states = [line["state"] for line in lines if line["type"] == "state"]
        return Ended(done.returncode, states, output, events.read_text() + done.stdout + done.stderr)

    def heard(self) -> list[str]:
        """The messages that came, each once."""
        body = {"count": 10, "ackmode": "ack_requeue_false", "encoding": "base64"}
        found = self.vhost.broker.management.call("POST", "queues", self.vhost.name, QUEUE, "get", body=body)
        return [base64.b64decode(message["payload"]).decode() for message in found]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


@pytest.fixture(scope="module")
def node(certificate: tuple[Path, Path]) -> Iterator[tuple[RabbitNode, int, int]]:
    key, public = certificate
    ports = Ports(2)
    tcp, tls = ports.numbers
    settings = {
        "mqtt.listeners.tcp.1": f"127.0.0.1:{tcp}",
        "mqtt.listeners.ssl.1": f"127.0.0.1:{tls}",
        "mqtt.allow_anonymous": "false",
        "ssl_options.cacertfile": public,
        "ssl_options.certfile": public,
        "ssl_options.keyfile": key,
    }
    try:
        node = RabbitNode(plugins=["rabbitmq_mqtt"], settings=settings)
    except BrokerMissing as error:
        pytest.fail(str(error), pytrace=False)
    with node:
        yield node, tcp, tls
    ports.release()


@pytest.fixture
def mqtt(node: tuple[RabbitNode, int, int], certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[Mqtt]:
    broker, tcp, tls = node
    vhost = create_vhost(broker)
    call = broker.management.call
    call("PUT", "queues", vhost.name, QUEUE, body={"durable": True})
    call("POST", "bindings", vhost.name, "e", "amq.topic", "q", QUEUE, body={"routing_key": TOPIC.replace("/", ".")})
    yield Mqtt(vhost, tcp, tls, certificate[1].read_text(), tmp_path)
    remove_vhost(vhost)


def test_a_message_reaches_the_broker_which_acknowledges_it(mqtt: Mqtt) -> None:
    ended = mqtt.publish(payload="on")
    assert (ended.code, ended.states) == (0, ["preparing", "publishing", "published"]), ended.text
    assert mqtt.heard() == ["on"]
    address = f"127.0.0.1:{mqtt.tcp}"
    assert ended.output == {"broker": address, "topic": TOPIC, "bytes": 2, "acknowledged": True}
    assert mqtt.login["password"] not in ended.text


def test_values_that_are_no_texts_are_sent_as_json(mqtt: Mqtt) -> None:
    for payload in ({"state": "on", "°C": [1, 2.5]}, "", 7):
        assert mqtt.publish(payload=payload).code == 0
    assert mqtt.heard() == ['{"state":"on","°C":[1,2.5]}', "", "7"]


def test_a_message_that_is_only_sent_is_not_acknowledged(mqtt: Mqtt) -> None:
    assert mqtt.publish(payload="on", qos=0).output["acknowledged"] is False
    waiting.until(lambda: mqtt.heard() == ["on"], seconds=30, what="the message to arrive")


def test_a_retained_message_is_there_for_who_subscribes_later(mqtt: Mqtt) -> None:
    mqtt.publish(payload="on", retain=True)
    login = {name: mqtt.login[name] for name in ("username", "password")}
    found = subscribe.simple(TOPIC, hostname="127.0.0.1", port=mqtt.tcp, auth=login)
    assert (found.payload, bool(found.retain)) == (b"on", True)


def test_over_tls_a_broker_is_trusted_whose_certificate_is_given(mqtt: Mqtt) -> None:
    ended = mqtt.publish(payload="safe", port=mqtt.tls, tls=True, ca=mqtt.ca)
    assert ended.code == 0, ended.text
    assert mqtt.heard() == ["safe"]


def test_what_the_broker_refuses_is_explained_without_the_password(mqtt: Mqtt) -> None:
    password = f"wrong-{secrets.token_hex(8)}"
    tcp, tls, user = f"127.0.0.1:{mqtt.tcp}", f"127.0.0.1:{mqtt.tls}", mqtt.login["username"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"password": password}, f"{tcp} refuses the login of '{user}': "),
        ({"username": ""}, f"{tcp} refuses the login of nobody: "),
        ({"port": mqtt.tls, "tls": True}, f"{tls} cannot be reached: its certificate is not trusted (self"),
        ({"port": mqtt.tcp, "tls": True}, f"{tcp} cannot be reached: it does not speak TLS"),
        ({"port": mqtt.tls}, f"{tls} closed the connection before its answer to the login."),
    ]
    for properties, message in cases:
        ended = mqtt.publish(payload="never", **properties)
        assert ended.code == 1
        assert message in ended.text
        assert mqtt.login["password"] not in ended.text
        assert password not in ended.text
    assert mqtt.heard() == []


def test_an_account_that_may_not_publish_is_told_so(mqtt: Mqtt) -> None:
    name = mqtt.vhost.name
    rights = {"exchange": "amq.topic", "write": "^another$", "read": ".*"}
    mqtt.vhost.broker.management.call("PUT", "topic-permissions", name, name, body=rights)
    ended = mqtt.publish(payload="never")
    expected = f"closed the connection before its receipt for the message to '{TOPIC}'. Is it an MQTT broker, and may"
    assert expected in ended.text
    assert ended.states == ["preparing", "publishing"]
