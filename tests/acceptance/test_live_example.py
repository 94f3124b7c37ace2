"""The example of docs/live.md, as a reader would try it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.user import RUN_SECONDS, User
from tests.servers.embedded import EmbeddedServer
from tests.servers.web_client import NODE

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_example_prints_what_happens_to_a_workflow(tmp_path: Path, new_user: Any) -> None:
    found = re.search(r"```js\n(.*?)```", Path("docs/live.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    with EmbeddedServer(tmp_path) as server:
        user: User = new_user(server.url)
        workflow = user.workflow()
        instance = {"worktyId": user.workty("without-delay"), "name": "copy"}
        user.ask("POST", f"/workflows/{workflow}/worktiesInstances", instance)
        example = found[1] + 'workflows.on("sv.workflow.initialized", () => console.log("ready"));'
        environ = {"PATH": os.environ["PATH"], "WORKTY_URL": server.url, "WORKTY_LOGIN": ":".join(user.login)}
        with subprocess.Popen(
            ["node", "--input-type=module", "-e", example],
            cwd=NODE,
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            user.run(workflow)
            printed = process.communicate(timeout=RUN_SECONDS)[0].splitlines()
    assert printed[-1] == "a test: copy is completed, the run is completed"
    assert "a test: copy is running, the run is running" in printed
