"""Messages that nobody can use, on a real broker: they stop neither side; people look at them, and replay them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import AccessRefused
from bson import ObjectId
from celery import Celery
from kombu import Connection

from orchestrator.broker import BoardSender, server_app
from orchestrator.core import Core, Orchestrator, build_core, utc_now
from orchestrator.dead_letters import DeadLetters
from orchestrator.embedded import embedded_database
from orchestrator.errors import CannotReplay, NoSuchLetter
from orchestrator.letters import Letter
from orchestrator.live import Nobody
from orchestrator.runs.store import RunStore
from tests.servers import waiting
from tests.servers.broker import Broker, Vhost, create_vhost, remove_vhost
from tests.servers.process import ServerProcess
from tests.servers.stack import WORKTY
from workties.messages import EVENTS_EXCHANGE, EXECUTE_TASK, Heartbeat, Package, board_queue, control_queue, encode

pytestmark = pytest.mark.real

SECONDS = 60
JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
STEP = {"id": "m", "at": "now", "run": "r", "instance": "i", "attempt": 1, "seq": 1}


@dataclass
class Stage:
    """An orchestrator, a board with its agent, and both sides' connections to the broker."""

    vhost: Vhost
    app: Celery
    core: Core
    database: Any
    board: str
    agent: ServerProcess
    server: Connection
    of_board: Connection

    @property
    def letters(self) -> DeadLetters:
        return DeadLetters(self.app)

    @property
    def sender(self) -> BoardSender:
        return BoardSender(self.app)

    def from_board(self, body: bytes, kind: str = "state", **properties: Any) -> None:
        with self.of_board.Producer() as producer:
            to = {"exchange": EVENTS_EXCHANGE, "routing_key": f"{self.board}.{kind}", "user_id": self.board}
            producer.publish(body, **to, **JSON | properties)

    def to_board(self, queue: str, body: bytes, **properties: Any) -> None:
        with self.server.Producer() as producer:
            producer.publish(body, exchange="", routing_key=queue, **JSON | properties)

    def letter(self) -> Letter:
        """The only dead letter, when it has come."""
        [found] = waiting.until(
            lambda: self.letters.read(10)[0], seconds=SECONDS, what="a dead letter", tail=self.agent.tail
        )
        return found

    def a_run_ends(self) -> None:
        """Both sides still hear each other: a run is sent, and its step, which has no code, fails on the board."""
        workty, instance, workflow, language = (ObjectId() for _ in range(4))
        db = self.database
        db["workty_language_types"].insert_one({"_id": language, "name": "python"})
        db["workties"].insert_one(
            {"_id": workty, "name": "w", "entryPointModuleFileName": "main.py", "languageTypeId": language}
        )
        db["workty_instances"].insert_one(
            {"_id": instance, "workflowId": workflow, "worktyId": workty, "name": "", "propertiesIds": []}
        )
        db["workflows"].insert_one(
            {"_id": workflow, "name": "wf", "accountId": ObjectId(), "worktiesInstancesIds": [instance]}
        )
        self.core.runs.start(workflow)

        def ended() -> bool:
            latest = RunStore(db).latest(str(workflow))
            return latest is not None and latest.run.state.final

        waiting.until(ended, seconds=SECONDS, what="a run to end", tail=self.agent.tail)


@pytest.fixture(scope="module")
def stage(rabbitmq: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("stage")
    with ExitStack() as stack:
        vhost = create_vhost(rabbitmq)
        stack.callback(remove_vhost, vhost)
        app = server_app(vhost.amqp_url)
        sender = BoardSender(app)
        database = embedded_database()
        core = build_core(database, sender, Nobody(), lambda package: Package(package.sha256, 1, "", ""))
        orchestrator = Orchestrator(core, app, sender)
        orchestrator.start()
        stack.callback(orchestrator.stop)
        assert orchestrator.wait_until_ready(SECONDS)
        board = core.boards.add("kitchen", utc_now()).id
        sender.add_board(board)
        url = vhost.add_board_account(board, "secret")
        settings = {"AMQP_URL": url, "BOARD_ID": board, "SERVER_URL": "http://127.0.0.1:1", "HEARTBEAT_SECONDS": "1"}
        environ = {f"WORKTY_{name}": value for name, value in settings.items()}
        environ |= {"PATH": os.environ["PATH"], "WORKTY_STATE_DIR": str(directory / "state")}
        agent = ServerProcess([WORKTY, "agent"], directory=directory, environ=environ, name="agent")
        stack.callback(agent.end)
        confirmed = {"transport_options": {"confirm_publish": True}}
        connections = [stack.enter_context(Connection(address, **confirmed)) for address in (vhost.amqp_url, url)]
        yield Stage(vhost, app, core, database, board, agent, *connections)


@pytest.fixture(autouse=True)
def _clear(stage: Stage) -> Iterator[None]:
    yield
    stage.letters.drop_all()


def version_99(**fields: Any) -> bytes:
    return json.dumps({"v": 99, **STEP, **fields}).encode()


@pytest.mark.parametrize(
    ("body", "properties", "reason"),
    [
        pytest.param(version_99(kind="state"), {}, "v: expected protocol version 1, got 99", id="unknown version"),
        pytest.param(b'{"v": 1, "kind": "dance"}', {}, "kind: expected one of", id="unknown kind"),
        pytest.param(b"{", {}, "cannot be decoded", id="no JSON"),
        pytest.param(b"[" * 50_000, {}, "cannot be decoded", id="deeply nested"),
        pytest.param(b"x", {"content_type": "application/x-python-serialize"}, "cannot be decoded", id="pickle"),
        pytest.param(zlib.compress(b"{}"), {"headers": {"compression": "zlib"}}, "cannot be decoded", id="compressed"),
        pytest.param(b"{}", {"headers": {"compression": "no-such"}}, "v: expected", id="compressed by something else"),
    ],
)
@pytest.mark.parametrize("kind", ["state", "log"])
def test_an_event_that_makes_no_sense_is_kept_with_the_reason_and_others_are_read_on(
    stage: Stage, kind: str, body: bytes, properties: dict[str, Any], reason: str
) -> None:
    stage.from_board(body, kind, **properties)
    letter = stage.letter()
    assert (letter.origin, letter.sender) == (f"{stage.board}.{kind}", stage.board)
    assert reason in letter.reason
    assert letter.obstacle is not None
    stage.a_run_ends()


TASK = {"task": EXECUTE_TASK, "id": "t1", "lang": "py", "argsrepr": "", "kwargsrepr": ""}
TASK_99 = json.dumps([[json.loads(version_99())], {}, {}]).encode()


@pytest.mark.parametrize(
    ("queue", "body", "headers", "reason"),
    [
        pytest.param(board_queue, TASK_99, TASK, "v: expected protocol version 1, got 99", id="work, unknown version"),
        pytest.param(board_queue, b"[]", TASK, "expected a Celery task", id="work, no task"),
        pytest.param(board_queue, b"{", TASK, "expected a Celery task", id="work, no JSON"),
        pytest.param(board_queue, b"{", {}, "task: expected workty.execute", id="work, without headers"),
        pytest.param(board_queue, b"[[], {}, {}]", TASK | {"task": "os.system"}, "task: expected", id="work, another"),
        pytest.param(control_queue, version_99(), {}, "v: expected protocol version 1, got 99", id="order, version"),
        pytest.param(control_queue, b"{", {}, "expected a JSON object", id="order, no JSON"),
    ],
)
def test_a_message_to_a_board_that_makes_no_sense_is_kept_with_the_reason_and_the_board_goes_on(
    stage: Stage, queue: Any, body: bytes, headers: dict[str, Any], reason: str
) -> None:
    stage.to_board(queue(stage.board), body, headers=headers)
    letter = stage.letter()
    assert letter.origin == queue(stage.board)
    assert reason in letter.reason
    assert letter.at is not None
    stage.a_run_ends()
    assert stage.agent.alive


@pytest.fixture
def other(stage: Stage) -> str:
    """A board that has never been heard."""
    return stage.core.boards.add(f"board-{secrets.token_hex(4)}", utc_now()).id


def heartbeat(board: str) -> dict[str, Any]:
    vitals = {"board": board, "boot": "b", "seq": 1, "active": (), "slots": 1, "runtimes": ("none",)}
    body: dict[str, Any] = encode(Heartbeat(id="h", at="now", **vitals))
    return body


def connected(stage: Stage, board: str) -> bool:
    return next(found.connected for found in stage.core.boards.all() if found.id == board)


def test_a_letter_that_makes_sense_now_is_replayed_as_its_board_sent_it(stage: Stage, other: str) -> None:
    stage.sender.dead_letter(heartbeat(other), "v: unknown to an older version", f"{other}.heartbeat", other)
    letter = stage.letter()
    assert stage.letters.find(letter.id) == letter
    assert stage.letters.replay(letter.id) == letter
    waiting.until(lambda: connected(stage, other), seconds=SECONDS, what="the heartbeat to count")
    assert stage.letters.read(10) == ([], 0)


def test_a_board_cannot_have_its_words_believed_as_those_of_another(stage: Stage, other: str) -> None:
    forged = {"x-workty-user-id": other, "x-workty-routing-key": f"{other}.heartbeat", "x-workty-reason": "none"}
    stage.from_board(json.dumps(heartbeat(other)).encode(), "heartbeat", headers=forged)
    letter = stage.letter()
    assert (letter.sender, letter.origin) == (stage.board, f"{stage.board}.heartbeat")
    with pytest.raises(CannotReplay, match=f"not that of board {other}"):
        stage.letters.replay(letter.id)
    with stage.of_board.Producer() as producer, pytest.raises(AccessRefused):
        producer.publish(heartbeat(other), exchange="", routing_key="events", user_id=stage.board, headers=forged)
    assert stage.letters.read(10) == ([letter], 1)
    assert not connected(stage, other)


def test_what_a_board_rejected_goes_back_to_its_queue_and_stays_if_the_board_is_gone(stage: Stage, other: str) -> None:
    order = {"v": 1, **STEP, "board": other, "command": "forget"}
    stage.sender.add_board(other)
    stage.to_board(control_queue(other), json.dumps(order).encode())
    with stage.server.channel() as channel:
        rejected = channel.basic_get(control_queue(other))
        channel.basic_reject(rejected.delivery_tag, requeue=False)
    letter = stage.letter()
    assert letter.obstacle is None
    assert stage.letters.replay(letter.id) == letter
    with stage.server.channel() as channel:
        again = channel.basic_get(control_queue(other))
        assert (json.loads(again.body), "x-death" in again.headers) == (order, False)
        channel.basic_reject(again.delivery_tag, requeue=False)
        stage.letter()
        channel.queue_delete(control_queue(other))
    replayed, [staying] = stage.letters.replay_all()
    assert replayed == 0
    assert "is gone, with its board" in str(staying)
    assert stage.letters.read(10)[1] == 1


def test_a_message_that_comes_back_too_often_is_taken_out_of_the_queue_of_its_board(stage: Stage, other: str) -> None:
    limit = {"pattern": r"^board\.", "definition": {"delivery-limit": 2}, "apply-to": "queues"}
    stage.vhost.broker.management.call("PUT", "policies", stage.vhost.name, "workty-boards", body=limit)
    stage.sender.add_board(other)
    stage.to_board(control_queue(other), b"{}")

    def comes_back() -> bool:
        with stage.server.channel() as channel:
            channel.basic_get(control_queue(other))
        return bool(stage.letters.read(1)[1])

    waiting.until(comes_back, seconds=SECONDS, what="the broker to lose patience")
    letter = stage.letter()
    assert letter.reason == f"The broker took it out of queue {control_queue(other)}: delivery_limit"
    stage.vhost.broker.management.call("DELETE", "policies", stage.vhost.name, "workty-boards")


def test_letters_are_looked_at_without_losing_any_and_dropped_one_by_one(stage: Stage) -> None:
    for number in range(5):
        stage.sender.dead_letter({"number": number}, f"reason {number}", "x.state", None)

    def reasons() -> list[str]:
        return [letter.reason for letter in stage.letters.read(10)[0]]

    assert reasons() == [f"reason {number}" for number in range(5)]
    letters, total = stage.letters.read(2)
    assert ([letter.reason for letter in letters], total) == (["reason 0", "reason 1"], 5)
    stage.letters.drop(letters[1].id)
    with pytest.raises(NoSuchLetter, match="looked through the 4"):
        stage.letters.drop(letters[1].id)
    assert reasons() == ["reason 0", "reason 2", "reason 3", "reason 4"]
    assert stage.sender.waiting()["dead-letters"] == 4
    assert (stage.letters.drop_all(), reasons()) == (4, [])


def test_the_command_lists_shows_replays_and_drops(stage: Stage, tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "WORKTY_AMQP_URL": stage.vhost.amqp_url, "HOME": str(tmp_path)}
        called = [WORKTY, "admin", "dead-letters", *arguments]
        return subprocess.run(
            called, env=environ, cwd=tmp_path, input="", capture_output=True, text=True, timeout=SECONDS, check=False
        )

    assert command("list").stderr == "There are no dead letters.\n"
    stage.sender.dead_letter({"text": "x" * 9000}, "It is \x1b[2J too long", "b.state", "b")
    [listed] = json.loads(command("list", "--json").stdout)
    key, size = listed["id"], listed["size"]
    assert (listed["origin"], listed["sender"], listed["reason"]) == ("b.state", "b", "It is \x1b[2J too long")
    heading, row = command("list").stdout.splitlines()
    assert heading.split() == ["id", "since", "(UTC)", "from", "bytes", "reason"]
    assert (row.split()[0], row.split()[3:5], "\x1b" in row) == (key, ["b.state", str(size)], False)
    shown = command("show", key).stdout
    assert "characters more. All of it: --json" in shown
    assert json.loads(command("show", key, "--json").stdout)["body"] == {"text": "x" * 9000}
    refused = command("replay", key)
    assert (refused.returncode, refused.stderr.startswith(f"Error: Dead letter {key} is not replayed: ")) == (1, True)
    assert command("replay", "--all").stdout == "Dead letters: 0 replayed, 1 kept.\n"
    assert command("drop", "--all").returncode == 1
    assert command("drop", key).stdout == f"Dead letter {key} is deleted.\n"
    unknown = command("show", key)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith(f"Error: No dead letter has the id '{key}'")
    for arguments in (("drop", "--all"), ("drop", "--all", "--yes"), ("replay", "--all")):
        empty = command(*arguments)
        assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "There are no dead letters.\n"), arguments
