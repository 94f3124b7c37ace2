"""A connection to an MQTT broker for as long as a message takes, with errors that say what to look at."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from workties import StepFailed


@dataclass(frozen=True)
class Broker:
    """Where a broker is, and how to log in."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca: str = ""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def who(self) -> str:
        return f"'{self.username}'" if self.username else "nobody"


@contextmanager
def connection(broker: Broker, timeout: float) -> Iterator[Callable[..., None]]:
    """Connect and log in; gives the function that publishes `(topic, payload, qos=, retain=)`.

    Args:
        timeout: seconds that each of the two may take.

    Raises:
        StepFailed: the broker cannot be reached, does not let us in, or does not take the message.
    """
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout = max(timeout, 0.001)
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    log_in(client, broker, timeout)
    try:
        yield partial(publish, client, broker, timeout)
    finally:
        client.disconnect()


def log_in(client: Client, broker: Broker, timeout: float) -> None:
    answers: list[Any] = []
    client.on_connect = lambda *about: answers.append(about[3])
    try:
        if broker.tls:
            client.tls_set_context(ssl.create_default_context(cadata=broker.ca or None))
        client.connect(broker.host, broker.port)
    except OSError as error:
        raise StepFailed(f"{broker.address} cannot be reached: {reason(error, timeout)}") from error
    until(client, broker, timeout, lambda: bool(answers), "its answer to the login")
    if answers[0].is_failure:
        raise StepFailed(f"{broker.address} refuses the login of {broker.who}: {answers[0]}")


def publish(
    client: Client, broker: Broker, timeout: float, topic: str, payload: bytes, *, qos: int, retain: bool
) -> None:
    message = client.publish(topic, payload, qos=qos, retain=retain)
    until(client, broker, timeout, message.is_published, f"its receipt for the message to '{topic}'")


def until(client: Client, broker: Broker, timeout: float, done: Callable[[], bool], what: str) -> None:
    """Do what the connection needs until `done`. Raises `StepFailed` if it ends before, or takes too long."""
    give_up = time.monotonic() + timeout
    while not done():
        left = give_up - time.monotonic()
        if left <= 0:
            raise StepFailed(f"{broker.address}: waited {timeout:g} s for {what}. {ask(broker)}")
        if client.loop(min(left, 1.0)) != MQTTErrorCode.MQTT_ERR_SUCCESS and not done():
            raise StepFailed(f"{broker.address} closed the connection before {what}. {ask(broker)}")


def ask(broker: Broker) -> str:
    """What to look at when a broker does not say what it minds."""
    return f"Is it an MQTT broker, and may {broker.who} publish there? Its log tells"


def reason(error: OSError, timeout: float) -> str:
    """Why there is no connection, and what to look at."""
    match error:
        case ConnectionRefusedError():
            return "nothing listens there. See the properties 'host' and 'port', and whether the broker runs"
        case socket.gaierror():
            return "no machine of this name is known. See the property 'host'"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}). See the properties 'host' and 'ca'"
        case ssl.SSLError():
            return f"it does not speak TLS, or the property 'ca' is no PEM ({error.reason})"
        case TimeoutError():
            return f"no answer within {timeout:g} s. See the property 'host', and firewalls on the way"
        case _:
            return str(error)
