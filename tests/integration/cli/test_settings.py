"""Commands that lack something, or cannot reach it, say so in one line. All settings: tests/unit/cli."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration.cli.commands import STOP_SECONDS, Command, Start, one_line
from tests.servers import waiting
from tests.servers.mongod import Database

#: Nothing listens on port 1.
AMQP = "amqp://me:hidden-one@127.0.0.1:1/workty"
MONGO = "mongodb://me:hidden-two@127.0.0.1:1/workty"


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("api", ["WORKTY_AMQP_URL", "WORKTY_MONGO_URL"]),
        ("orchestrator", ["WORKTY_AMQP_URL", "WORKTY_MONGO_URL"]),
        ("agent", ["WORKTY_AMQP_URL", "WORKTY_BOARD_ID", "WORKTY_SERVER_URL"]),
    ],
)
def test_without_settings_there_is_one_line_for_each_that_is_missing(
    command: Command, name: str, missing: list[str]
) -> None:
    ended = command(name)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert [line.split(" is not set. ")[0] for line in ended.stderr.splitlines()] == [f"workty: {m}" for m in missing]


@pytest.mark.parametrize("name", ["api", "orchestrator"])
def test_an_unreachable_database_is_one_line_without_its_password(command: Command, name: str) -> None:
    began = time.monotonic()
    line = one_line(command(name, WORKTY_AMQP_URL=AMQP, WORKTY_MONGO_URL=MONGO), 1)
    assert time.monotonic() - began < 15
    assert line.startswith("Error: MongoDB at mongodb://me:***@127.0.0.1:1/workty ")
    assert "is not reachable now" in line


@pytest.mark.parametrize("url", ["mongodb://me:hid@den@db/workty", "mongodb://db:port/workty"])
def test_an_address_that_the_driver_refuses_is_one_line(command: Command, url: str) -> None:
    line = one_line(command("api", WORKTY_AMQP_URL=AMQP, WORKTY_MONGO_URL=url), 2)
    assert line.startswith("workty: WORKTY_MONGO_URL mongodb://")
    assert "is no URL that MongoDB's driver can use" in line
    assert "den@" not in line


def test_a_board_cannot_be_added_while_the_broker_is_away(command: Command) -> None:
    line = one_line(command("board", "add", "one", WORKTY_AMQP_URL=AMQP, WORKTY_MONGO_URL=MONGO), 1)
    assert line.startswith("Error: The message broker ")
    assert "is not reachable now" in line
    assert "hidden" not in line


@pytest.mark.real
def test_an_orchestrator_whose_broker_is_away_goes_on_trying_and_stops_when_told(
    start: Start, mongod: Database, database_url: str
) -> None:
    process = start("orchestrator", WORKTY_AMQP_URL=AMQP, WORKTY_MONGO_URL=database_url)
    waiting.until(
        lambda: process.log.read_text().count("The message broker is not reachable") >= 2,
        seconds=60,
        what="two tries",
        tail=process.tail,
    )
    assert process.terminate(seconds=STOP_SECONDS) == 0, process.tail()
    assert "hidden" not in process.log.read_text()


def test_an_agent_whose_broker_is_away_goes_on_trying_and_stops_when_told(start: Start, tmp_path: Path) -> None:
    process = start(
        "agent",
        WORKTY_AMQP_URL=AMQP,
        WORKTY_BOARD_ID="one",
        WORKTY_SERVER_URL="http://127.0.0.1:1",
        WORKTY_STATE_DIR=str(tmp_path / "state"),
    )
    waiting.until(
        lambda: process.log.read_text().count("Board 'one' does not reach the broker") >= 3,
        seconds=60,
        what="three tries",
        tail=process.tail,
    )
    assert process.terminate(seconds=STOP_SECONDS) == 0, process.tail()
    log = process.log.read_text()
    assert "hidden" not in log
    assert "Traceback" not in log
