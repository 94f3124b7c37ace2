"""mqtt-publish without a broker: what it refuses, and how it says that it cannot reach one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.workties.builtin.loading import FOLDER, properties_of

Start = Callable[..., Any]

MAIN = FOLDER / "mqtt-publish" / "main.py"


def complaint(start: Start, **properties: Any) -> str:
    """What a step says that fails."""
    program = start(
        MAIN, **properties_of("mqtt-publish", **{"topic": "garden/pump", "host": "127.0.0.1", **properties})
    )
    program.lines()
    code, _, stderr = program.end()
    assert code == 1
    return str(stderr).splitlines()[-1]


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"topic": ""}, "Property 'topic': expected a topic without + and #, got ''"),
        ({"topic": "garden/#"}, "Property 'topic': expected a topic without + and #, got 'garden/#'"),
        ({"qos": 2}, "Property 'qos': expected 0 or 1, got 2"),
    ],
)
def test_properties_that_do_not_fit_are_explained(start: Start, properties: dict[str, Any], message: str) -> None:
    assert message in complaint(start, **properties)


def test_where_nothing_listens_it_says_so(start: Start) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        port = bound.getsockname()[1]
        assert f"127.0.0.1:{port} cannot be reached: nothing listens there." in complaint(start, port=port)


def test_a_name_that_nobody_has_is_explained(start: Start) -> None:
    message = complaint(start, host="no such name")
    assert "no such name:1883 cannot be reached: no machine of this name is known." in message


def test_a_server_that_does_not_answer_is_given_up(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = complaint(start, port=silent.getsockname()[1], timeout=0.1)
    assert "waited 0.1 s for its answer to the login. Is it an MQTT broker, and may nobody publish there?" in message


def test_certificates_that_are_none_are_explained(start: Start) -> None:
    assert "127.0.0.1:8883 cannot be reached" in complaint(start, tls=True, ca="no certificate")
    assert "the property 'ca' is no PEM" in complaint(start, tls=True, ca="no certificate")
