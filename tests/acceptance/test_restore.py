"""A server that goes on with an older database, restored as docs/backup.md says, agrees with its boards in the end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import ObjectId

from orchestrator.database import connect
from tests.acceptance.catalogue import LEDGER, add_workty
from tests.acceptance.user import User
from tests.servers import waiting
from tests.servers.broker import Vhost
from tests.servers.mongod import MongoServer, own_server
from tests.servers.stack import RealStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

TEXT = Path("docs/backup.md").read_text(encoding="utf-8")
SERVERS = ("api", "orchestrator")
#: Seconds that something may take on a slow and busy machine.
SECONDS = 180


@pytest.fixture
def database() -> Iterator[MongoServer]:
    """A mongod whose files the test may take away."""
    with own_server(os.environ) as server:
        yield server


@pytest.fixture
def stack(vhost: Vhost, database: MongoServer, tmp_path: Path) -> Iterator[RealStack]:
    place = tmp_path / "stack"
    place.mkdir()
    with RealStack(vhost, database.url("workty"), place) as stack:
        yield stack


@pytest.fixture
def backup(tmp_path: Path) -> Iterator[Path]:
    """Where a backup goes; it is large."""
    yield tmp_path / "backup"
    shutil.rmtree(tmp_path / "backup", ignore_errors=True)


def documented(name: str, stack: RealStack, database: MongoServer, backup: Path) -> None:
    """Carry out commands of the document, letter by letter."""
    [commands] = re.findall(rf"<!-- tested: {name} -->\s*```sh\n(.*?)```", TEXT, flags=re.DOTALL)
    environ = stack.environ | {"DATA": str(database.data), "BACKUP": str(backup)}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    subprocess.run(["bash", "-c", f"set -eu\n{commands}"], env=environ, check=True, timeout=SECONDS)


def restore(stack: RealStack, database: MongoServer, backup: Path) -> None:
    """Let the server go on with the backup, while boards go on as they are."""
    for name in SERVERS:
        stack.processes[name].terminate()
    database.kill9()
    documented("restore", stack, database, backup)
    database.start()
    for name in SERVERS:
        stack.restart(name)


def test_an_older_database_that_is_restored_agrees_with_the_boards_in_the_end(
    stack: RealStack,
    database: MongoServer,
    backup: Path,
    new_user: Callable[[str], User],
    shared_folder: Path,
) -> None:
    ledger = shared_folder / "written"
    stack.add_board("one", slots=3, step_shared=str(shared_folder), step_account="nobody")
    url = database.url("workty")
    entries = {"path": str(ledger), "entry": "", "rest": 0}
    add_workty(url, backup.parent, "ledger", LEDGER, properties=entries, access="shared = true")
    user = new_user(stack.url)
    short = user.workflow(*(("ledger", {"entry": f"short {step}", "rest": 4}) for step in range(3)))
    long = user.workflow(("ledger", {"entry": "long", "rest": 900}))
    new = user.workflow(("ledger", {"entry": "new", "rest": 900}))
    for workflow in (long, short):
        user.run(workflow)
        user.until_step(workflow, 0, "running")
    documented("backup", stack, database, backup)

    # What the backup does not know: how steps end, a later attempt, a run, a board, an account.
    assert user.until_run(short, "completed", "failed")["run"]["state"] == "completed"
    stack.power_cut("one")
    stack.launch("one")
    user.hears(long, lambda change: _is(change, "running", 2), "attempt 2")
    user.run(new)
    user.until_step(new, 0, "running")
    added = stack.add_board("two")
    later = new_user(stack.url)
    before = ledger.read_text()

    restore(stack, database, backup)
    told = stack.processes["orchestrator"].log.read_text
    waiting.until(
        lambda: user.states(short) == ["completed"] * 3, seconds=SECONDS, what="the ended steps", tail=stack.tails
    )
    waiting.until(lambda: _attempts(url, long) == [2], seconds=SECONDS, what="attempt 2", tail=stack.tails)
    waiting.until(
        lambda: "as after the restore of a backup" in told(), seconds=SECONDS, what="the summary", tail=stack.tails
    )
    assert user.states(long) == ["running"]
    assert user.states(new) == ["initial"]
    assert ledger.read_text() == before
    assert _attempts(url, short) == [1, 1, 1], "nothing ran again"
    assert "attempts of runs that are unknown here, which their boards forget: 1" in told()
    assert later.answer("GET", "/workflows").status_code == requests.codes.unauthorized

    user.stop(long)
    waiting.until(lambda: user.states(long) == ["stopped"], seconds=SECONDS, what="the stop", tail=stack.tails)
    waiting.until(lambda: f"--id {added.id}" in told(), seconds=SECONDS, what="board two", tail=stack.tails)
    stack.command("board", "add", "two", "--id", added.id)
    waiting.until(
        lambda: [board["state"] for board in stack.rest("GET", "/devices")] == ["waiting"] * 2,
        seconds=SECONDS,
        what="both boards to have nothing to do",
        tail=stack.tails,
    )
    user.run(new)
    waiting.until(lambda: user.states(new) == ["running"], seconds=SECONDS, what="a new run", tail=stack.tails)


def _is(change: dict[str, Any], state: str, attempt: int) -> bool:
    step = change["worktyInstance"]
    return (step["state"], step["attempt"]) == (state, attempt)


def _attempts(url: str, workflow: str) -> list[int]:
    """The attempt of each step of the latest run."""
    database = connect(url)
    run = database["runs"].find_one({"workflowId": ObjectId(workflow)}, sort=[("number", -1)])
    database.client.close()
    assert run is not None
    return [step["attempt"] for step in run["steps"]]
