"""The broker as tests see it, whoever started it: virtual hosts and accounts through RabbitMQ's management API."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import requests

from workties.messages import EVENTS_EXCHANGE

#: Seconds that one request to the management API may take on a slow machine.
REQUEST_SECONDS = 30


class BrokerMissing(RuntimeError):
    """There is no broker to test with. The message says what to install or to set."""


class Management:
    """RabbitMQ's management HTTP API. `url` is its root, with the credentials of an administrator."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._root = f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}/api"
        self._login = (parts.username or "guest", parts.password or "guest")

    def call(self, method: str, *path: str, body: object = None) -> Any:
        """Send a request to `/api/<path...>` (parts are quoted here); returns the JSON answer, None if empty.

        Raises:
            requests.HTTPError: the answer is not 2xx.
        """
        address = "/".join([self._root, *(quote(part, safe="") for part in path)])
        answer = requests.request(method, address, json=body, auth=self._login, timeout=REQUEST_SECONDS)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def ready(self) -> bool:
        """Whether the node answers and listens for AMQP."""
        try:
            listeners = self.call("GET", "overview").get("listeners", [])
        except requests.RequestException:
            return False
        return any(listener["protocol"] == "amqp" for listener in listeners)


class Broker(Protocol):
    """A broker with room for tests: a private node, or one named by the environment."""

    management: Management

    def amqp_url(self, user: str, password: str, vhost: str) -> str:
        """Where an account reaches `vhost`."""


@dataclass(frozen=True)
class Vhost:
    """A virtual host of its own for a test, and in `amqp_url` an account that may do everything in it."""

    broker: Broker
    name: str
    amqp_url: str

    def add_board_account(self, board_id: str, password: str) -> str:
        """Add the account of a board, which may do what a board needs and no more; returns its AMQP URL.

        Exchange and queues need not exist yet; the account may declare none of them.
        """
        board = re.escape(board_id)
        call = self.broker.management.call
        rights = {"configure": "^$", "write": f"^{EVENTS_EXCHANGE}$", "read": rf"^board\.{board}(\.control)?$"}
        topic = {"exchange": EVENTS_EXCHANGE, "write": rf"^{board}\.", "read": "^$"}
        call("PUT", "users", board_id, body={"password": password, "tags": ""})
        call("PUT", "permissions", self.name, board_id, body=rights)
        call("PUT", "topic-permissions", self.name, board_id, body=topic)
        return self.broker.amqp_url(board_id, password, self.name)

    def remove_account(self, user: str) -> None:
        """Remove an account; its connections are closed."""
        self.broker.management.call("DELETE", "users", user)

    def consumers(self, queue: str) -> list[Any]:
        """The consumers of a queue."""
        found = self.broker.management.call("GET", "consumers", self.name)
        return [consumer for consumer in found if consumer["queue"]["name"] == queue]


def create_vhost(broker: Broker) -> Vhost:
    """A new virtual host with an account of the same name that has all rights in it."""
    name, password = f"workty-test-{secrets.token_hex(6)}", secrets.token_hex(16)
    call = broker.management.call
    call("PUT", "vhosts", name)
    call("PUT", "users", name, body={"password": password, "tags": ""})
    call("PUT", "permissions", name, name, body={"configure": ".*", "write": ".*", "read": ".*"})
    return Vhost(broker, name, broker.amqp_url(name, password, name))


def remove_vhost(vhost: Vhost) -> None:
    """Remove a virtual host with all that is in it, and every account that had rights there."""
    call = vhost.broker.management.call
    users = {entry["user"] for entry in call("GET", "vhosts", vhost.name, "permissions")}
    call("DELETE", "vhosts", vhost.name)
    for user in users:
        if not call("GET", "users", user, "permissions"):
            call("DELETE", "users", user)


class ExternalBroker:
    """A broker that somebody else keeps, named by WORKTY_TEST_AMQP_URL and WORKTY_TEST_AMQP_MANAGEMENT_URL."""

    def __init__(self, amqp_url: str, management_url: str) -> None:
        self._address = urlsplit(amqp_url)
        self.management = Management(management_url)

    def amqp_url(self, user: str, password: str, vhost: str) -> str:
        """Where an account reaches `vhost`."""
        host = f"{self._address.hostname}:{self._address.port or 5672}"
        return account_url(host, user, password, vhost, scheme=self._address.scheme)


def account_url(host: str, user: str, password: str, vhost: str, *, scheme: str = "amqp") -> str:
    """The AMQP URL of an account, whatever characters its parts have. `host` is `name:port`."""
    user, password, vhost = (quote(part, safe="") for part in (user, password, vhost))
    return f"{scheme}://{user}:{password}@{host}/{vhost}"
