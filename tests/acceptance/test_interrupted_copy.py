"""A copy of many files on a board whose agent is killed half way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bson import ObjectId

from orchestrator.database import connect
from tests.acceptance.user import User
from tests.servers import waiting
from tests.servers.stack import RealStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

NewUser = Callable[[str], User]
FILES, SIZE = 300, 4096


def test_a_copy_whose_agent_is_killed_half_way_goes_on_from_there(
    real_stack: RealStack, new_user: NewUser, database_url: str, shared_folder: Path
) -> None:
    source, target = shared_folder / "source", shared_folder / "target"
    for number in range(FILES):
        file = source / f"folder {number % 10}" / f"{number:03}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(number.to_bytes(2, "big") * (SIZE // 2))
    # One account for all steps: an account of its own is whichever is free when the agent starts.
    real_stack.add_board("one", slots=1, step_shared=str(shared_folder), step_account="nobody")
    user = new_user(real_stack.url)
    # About six seconds; the agent is killed in the second or third.
    properties = {"source": str(source), "target": str(target), "bytes_per_second": FILES * SIZE // 6}
    workflow = user.workflow(("copy-directory", properties))
    user.run(workflow)

    copied_before = _until_half_way(database_url, workflow, real_stack.tails)
    real_stack.kill9("one")
    real_stack.restart("one")
    last = user.until_run(workflow, "completed", "failed")

    assert last["run"]["state"] == "completed", (last, real_stack.tails())
    assert _content(target) == _content(source)
    run = user.ask("GET", f"/runs/{last['run']['id']}")
    (step,) = run["steps"]
    assert step["attempt"] == 2
    assert len([change for change in run["changes"] if change["state"] == "completed"]) == 1
    # No file was copied or looked at twice, but for those after the last checkpoint before the kill.
    assert step["output"]["files"] + step["output"]["skipped"] == FILES
    assert step["output"]["problems"] == []
    messages = user.ask("GET", f"/runs/{last['run']['id']}/log")
    lines = [line["text"] for message in messages for line in message["lines"]]
    (resumed,) = (line for line in lines if line.startswith("goes on copying after folder "))
    assert copied_before <= _number_before(resumed, " copied") < FILES


def _until_half_way(database_url: str, workflow: str, tail: Callable[[], str]) -> int:
    """Wait for a checkpoint of the copy in which a third is done; how many files were copied then."""
    database = connect(database_url)

    def copied() -> int:
        found = database["runs"].find_one({"workflowId": ObjectId(workflow), "steps.0.checkpoint.state": "copying"})
        memory = json.loads(found["steps"][0]["checkpoint"]["memory"]) if found else {}
        return memory["files"] if memory.get("files", 0) > FILES // 3 else 0

    try:
        return waiting.until(copied, seconds=60, what="a checkpoint half way", tail=tail)
    finally:
        database.client.close()


def _content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _number_before(line: str, words: str) -> int:
    return int(line.partition(words)[0].rpartition(" ")[2])
