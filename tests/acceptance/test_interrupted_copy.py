"""A copy of many files on a board whose agent is killed half way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    real_stack: RealStack, new_user: NewUser, database_url: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "shared" / "source", tmp_path / "shared" / "target"
    for number in range(FILES):
        file = source / f"folder {number % 10}" / f"{number:03}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(number.to_bytes(2, "big") * (SIZE // 2))
    real_stack.add_board("one", slots=1, step_shared=str(tmp_path / "shared"))
    user = new_user(real_stack.url)
    # About six seconds; the agent is killed in the second or third.
    properties = {"source": str(source), "target": str(target), "bytes_per_second": FILES * SIZE // 6}
    workflow = user.workflow(("copy-directory", properties))
    user.run(workflow)

    kept = _until_half_way(database_url, workflow)
    real_stack.kill9("one")
    assert not (target / "folder 9" / f"{FILES - 1:03}").exists()
    real_stack.restart("one")
    last = user.until_run(workflow, "completed", "failed")

    assert last["run"]["state"] == "completed", (last, real_stack.tails())
    assert _content(target) == _content(source)
    attempts = [change["worktyInstance"]["attempt"] for change in user.changes(workflow)]
    assert max(attempts) == 2
    completed = [c for c in user.changes(workflow) if c["worktyInstance"]["state"] == "completed"]
    assert len(completed) == 1
    step = _step(database_url, workflow)
    # Nothing was copied twice or looked at twice.
    assert {"files": FILES, "skipped": 0, "problems": []}.items() <= step["output"].items()
    lines = [line["text"] for message in user.ask("GET", f"/runs/{last['run']['id']}/logs") for line in message["lines"]]
    (resumed,) = (line for line in lines if line.startswith("goes on copying after folder "))
    copied = int(resumed.partition("; ")[2].partition(" ")[0])
    assert kept <= copied < FILES
