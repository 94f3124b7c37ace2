"""What holds when programs misbehave and processes die, on RabbitMQ and MongoDB with separate processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bson import ObjectId

from orchestrator.database import connect
from tests.acceptance.catalogue import LEDGER, add_workty
from tests.acceptance.user import User, assert_legal
from tests.servers import waiting
from tests.servers.broker import Broker
from tests.servers.mongod import Database, MongoServer
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import RabbitNode
from tests.servers.stack import WORKTY, RealStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

NewUser = Callable[[str], User]


def test_a_killed_orchestrator_costs_time_and_nothing_else(
    real_stack: RealStack, new_user: NewUser, database_url: str, tmp_path: Path, shared_folder: Path
) -> None:
    ledger = shared_folder / "written"
    real_stack.add_board("one", slots=2, step_shared=str(shared_folder), step_account="nobody")
    entries = {"path": str(ledger), "entry": "", "rest": 0}
    add_workty(database_url, tmp_path, "ledger", LEDGER, properties=entries, access="shared = true")
    user = new_user(real_stack.url)
    workflow = user.workflow(*(("ledger", {"entry": f"step {number}"}) for number in range(20)))
    user.run(workflow)
    user.until_step(workflow, 7, "running")
    real_stack.kill9("orchestrator")
    real_stack.restart("orchestrator")
    user.until_run(workflow, "completed", "failed")
    assert user.states(workflow) == ["completed"] * 20
    assert ledger.read_text().splitlines() == [f"step {number}" for number in range(20)]
    # Who was telling clients something when it was killed is followed by one who tells it again.
    told = {change["run"]["seq"]: change for change in user.changes(workflow)}
    assert_legal([told[number] for number in sorted(told)])
    assert {change["worktyInstance"]["attempt"] for change in told.values() if change["run"]["seq"] > 1} == {0, 1}


def test_a_killed_agent_goes_on_from_its_journal(
    real_stack: RealStack, new_user: NewUser, database_url: str, tmp_path: Path, shared_folder: Path
) -> None:
    ledger = shared_folder / "written"
    real_stack.add_board("one", slots=1, step_shared=str(shared_folder))
    properties = {"path": str(ledger), "entry": "written", "rest": 5}
    add_workty(database_url, tmp_path, "ledger", LEDGER, properties=properties, access="shared = true")
    user = new_user(real_stack.url)
    workflow = user.workflow("ledger", "without-delay")
    user.run(workflow)
    user.until_step(workflow, 0, "running")
    waiting.until(ledger.exists, seconds=60, what="the step to write", tail=real_stack.tails)
    board = real_stack.processes["one"]
    _until_checkpointed(database_url, workflow)
    board.kill9()
    real_stack.restart("one")
    user.until_run(workflow, "completed", "failed")
    assert user.states(workflow) == ["completed", "completed"]
    assert ledger.read_text().splitlines() == ["written"], "it went on from its checkpoint, not from the beginning"
    assert_legal(user.changes(workflow))


def test_a_board_that_is_restarted_goes_on_with_a_step_that_waits_for_it(
    real_stack: RealStack, new_user: NewUser, database_url: str, tmp_path: Path, shared_folder: Path
) -> None:
    ledger = shared_folder / "written"
    real_stack.add_board("one", slots=1, step_shared=str(shared_folder))
    other = f"/devices/{real_stack.add_board('two', slots=1).id}"
    real_stack.rest("PUT", other, {"disabled": True})
    properties = {"path": str(ledger), "entry": "written", "rest": 15}
    manifest = {"more": "offline_grace = 300", "access": "shared = true"}
    add_workty(database_url, tmp_path, "ledger", LEDGER, **manifest, properties=properties)
    user = new_user(real_stack.url)
    workflow = user.workflow("ledger")
    user.run(workflow)
    user.until_step(workflow, 0, "running")
    waiting.until(ledger.exists, seconds=60, what="the step to write", tail=real_stack.tails)
    _until_checkpointed(database_url, workflow)
    real_stack.rest("PUT", other, {"disabled": False})
    real_stack.processes["one"].terminate()
    user.hears(workflow, lambda change: change["worktyInstance"]["attempt"] == 2, "the step to wait")
    real_stack.restart("one")
    user.until_run(workflow, "completed", "failed")
    assert user.states(workflow) == ["completed"]
    assert ledger.read_text().splitlines() == ["written"]
    ran = [change["worktyInstance"] for change in user.changes(workflow) if change["worktyInstance"]["device"]]
    assert {(step["attempt"], step["device"]["name"]) for step in ran if step["state"] == "running"} == {
        (1, "one"),
        (2, "one"),
    }


#: What a program does, its limits, the reason of its failure, and its last line of output.
MISBEHAVIOUR: list[tuple[str, str, str, str | None]] = [
    ("import sys; print('almost'); sys.exit(3)", "", "exit", "almost"),
    (
        "from workties import Workty\nclass W(Workty):\n    states = ('s',)\n    def on_enter_s(self): 1 / 0",
        "",
        "exit",
        "ZeroDivisionError: division by zero",
    ),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "", "signal", None),
    ("print('hanging', flush=True)\nimport time\ntime.sleep(600)", "wall = 1.0", "timeout", "hanging"),
    ("while True: print('x' * 1000)", "output = 1000000", "output", "x" * 1000),
]


def test_programs_that_misbehave_fail_with_the_reason_and_free_their_slot(
    real_stack: RealStack, new_user: NewUser, database_url: str, tmp_path: Path
) -> None:
    real_stack.add_board("one", slots=1)
    user = new_user(real_stack.url)
    workflows = []
    for number, (code, limits, _, _) in enumerate(MISBEHAVIOUR):
        add_workty(database_url, tmp_path, f"bad-{number}", code, limits=limits)
        workflows.append(user.workflow(f"bad-{number}", "without-delay"))
        user.run(workflows[-1])
    good = user.workflow("without-delay")
    user.run(good)
    for workflow, (_, _, code, last_line) in zip(workflows, MISBEHAVIOUR, strict=True):
        failed = user.until_run(workflow, "failed", "completed")
        assert failed["run"]["state"] == "failed", real_stack.tails()
        assert failed["run"]["reason"]["code"] == code
        output = failed["worktyInstance"]["reason"]["lastOutput"]
        assert len(output) <= 20
        assert last_line is None or output[-1] == last_line
        assert user.states(workflow) == ["failed", "initial"]
    user.until_run(good, "completed")


def test_another_board_takes_over_what_a_lost_one_ran(real_stack: RealStack, new_user: NewUser) -> None:
    real_stack.add_board("doomed", slots=1)
    user = new_user(real_stack.url)
    workflow = user.workflow(("with-delay", {"delay": 3}))
    user.run(workflow)
    user.until_step(workflow, 0, "running")
    real_stack.power_cut("doomed")
    real_stack.add_board("heir", slots=1)
    last = user.until_run(workflow, "completed", "failed")
    assert last["run"]["state"] == "completed"
    assert last["worktyInstance"]["attempt"] == 2, (user.changes(workflow), real_stack.tails())
    heir = [change for change in user.changes(workflow) if change["worktyInstance"]["attempt"] == 2]
    assert heir[0]["worktyInstance"]["state"] == "waiting"
    assert heir[0]["worktyInstance"]["reason"]["code"] == "board-lost"
    assert {change["worktyInstance"]["device"]["name"] for change in heir[1:]} == {"heir"}


def test_a_broker_that_dies_and_comes_back_costs_no_attempt(
    rabbitmq: Broker, real_stack: RealStack, new_user: NewUser
) -> None:
    if not isinstance(rabbitmq, RabbitNode):
        pytest.fail("This test kills its broker: unset WORKTY_TEST_AMQP_URL")
    real_stack.add_board("one", slots=1)
    user = new_user(real_stack.url)
    workflow = user.workflow(*[("with-delay", {"delay": 1})] * 10)
    user.run(workflow)
    user.until_step(workflow, 3, "running")
    rabbitmq.kill9()
    rabbitmq.restart()
    waiting.until(
        lambda: user.states(workflow) == ["completed"] * 10, seconds=180, what="the run", tail=real_stack.tails
    )
    assert {change["worktyInstance"]["attempt"] for change in user.changes(workflow)} <= {0, 1}


def test_a_database_that_dies_and_comes_back_costs_no_attempt_and_no_news(
    mongod: Database, real_stack: RealStack, new_user: NewUser
) -> None:
    if not isinstance(mongod, MongoServer):
        pytest.fail("This test kills its database: unset WORKTY_TEST_MONGO_URL")
    real_stack.add_board("one", slots=1)
    user = new_user(real_stack.url)
    workflow = user.workflow(*[("with-delay", {"delay": 1})] * 10)
    user.run(workflow)
    user.until_step(workflow, 3, "running")
    mongod.kill9()
    mongod.restart()
    user.until_run(workflow, "completed", "failed")
    assert user.states(workflow) == ["completed"] * 10
    told = {change["run"]["seq"]: change for change in user.changes(workflow)}
    assert_legal([told[number] for number in sorted(told)])
    assert {change["worktyInstance"]["attempt"] for change in told.values()} <= {0, 1}


def test_a_board_that_the_server_does_not_know_is_refused_with_a_line_that_says_how_to_add_it(
    lasting_stack: RealStack, tmp_path: Path
) -> None:
    stranger = str(ObjectId())
    url = lasting_stack.vhost.add_board_account(stranger, "secret")
    environ = lasting_stack.environ | {
        "WORKTY_AMQP_URL": url,
        "WORKTY_BOARD_ID": stranger,
        "WORKTY_SERVER_URL": lasting_stack.url,
        "WORKTY_STATE_DIR": str(tmp_path / "stranger"),
    }
    directory = tmp_path / "logs"
    directory.mkdir()
    agent = ServerProcess([WORKTY, "agent"], directory=directory, environ=environ, name="stranger")
    try:
        server, board = lasting_stack.processes["orchestrator"], agent
        line = f"Board {stranger} is unknown and refused. To add a board: workty board add NAME"
        waiting.until(
            lambda: line in server.tail(), seconds=120, what="the orchestrator to refuse it", tail=server.tail
        )
        waiting.until(
            lambda: "workty board add NAME" in board.tail(), seconds=120, what="the agent to say so", tail=board.tail
        )
    finally:
        agent.end()


def _until_checkpointed(database_url: str, workflow: str) -> None:
    """Wait until the server has the checkpoint in which the step rests."""
    database = connect(database_url)
    wanted = {"workflowId": ObjectId(workflow), "steps.0.checkpoint.state": "resting"}
    waiting.until(lambda: database["runs"].find_one(wanted), seconds=60, what="the checkpoint")
    database.client.close()
