"""The same workty in each language, run by boards and watched live."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.user import User
from tests.servers.stack import ADMIN, RealStack
from workties.authoring.skeleton import make
from workties.package import pack

pytestmark = [pytest.mark.real, pytest.mark.slow]

NewUser = Callable[[str], User]

PYTHON = """
from workties import Workty

class Main(Workty):
    states = ("preparing", "working", "finishing")

    def on_enter_working(self):
        self.memory["half"] = True
        self.progress(0.5, "half done")
        self.checkpoint()

    def on_enter_finishing(self):
        self.output["half"] = self.memory["half"]
"""

NODEJS = """
const { run } = require("./workty.js");
run({
  states: {
    preparing: null,
    async working(step) {
      step.memory.half = true;
      step.progress(0.5, "half done");
      step.checkpoint();
    },
    finishing(step) {
      step.output.half = step.memory.half;
    },
  },
});
"""

JAVA = """
public class Main extends Workty {
    public static void main(String[] arguments) {
        run(new Main());
    }

    Main() {
        state("preparing", () -> {});
        state("working", this::work);
        state("finishing", () -> {
            output.put("half", memory.get("half"));
        });
    }

    void work() {
        memory.put("half", true);
        progress(0.5, "half done");
        checkpoint();
    }
}
"""

SHELL = """#!/bin/sh
say() { printf '%s\\n' "$1" >"/dev/fd/$WORKTY_EVENTS_FD"; }
say '{"type":"state","state":"preparing"}'
say '{"type":"state","state":"working"}'
say '{"type":"progress","progress":0.5,"message":"half done"}'
say '{"type":"checkpoint","memory":{"half":true}}'
say '{"type":"state","state":"finishing","memory":{"half":true}}'
say '{"type":"output","output":{"half":true}}'
"""

PROGRAMS = {
    "python": ("main.py", PYTHON),
    "nodejs": ("app.js", NODEJS),
    "java": ("Main.java", JAVA),
    "executable": ("run.sh", SHELL),
}
STATES = ["preparing", "working", "working", "finishing"]


def upload(user: User, language: str, directory: Path) -> str:
    """Add the workty in `language`, made of the skeleton of a new one, as a template over REST; its name."""
    name = f"halves-in-{language}"
    place = directory / name
    make(place, language)
    file, text = PROGRAMS[language]
    (place / file).write_text(text)
    if language == "java":
        subprocess.run([place / "build.sh"], check=True)
    elif language == "executable":
        (place / file).chmod(0o644)  # without the mode of a program, as in a zip made on Windows
    zipped = base64.b64encode(pack(place)).decode()
    user.ask("POST", "/workties", {"name": name, "template": True, "compressedCode": zipped}, login=ADMIN)
    return name


def assert_seen_live(user: User, workflow: str, step: dict[str, Any]) -> None:
    """Every state and checkpoint of the step was told, in order, and its last state is in the run."""
    told = [message["worktyInstance"] for message in user.progress(workflow)]
    own = [entry for entry in told if entry["id"] == step["_id"]]
    assert [(entry["worktyState"], entry["checkpoint"]) for entry in own if "worktyState" in entry] == [
        (state, True) for state in STATES
    ]
    assert step["worktyState"] == STATES[-1]


def test_a_workty_is_the_same_in_every_language(lasting_stack: RealStack, new_user: NewUser, tmp_path: Path) -> None:
    user = new_user(lasting_stack.url)
    workflow = user.workflow(*(upload(user, language, tmp_path) for language in PROGRAMS))
    user.run(workflow)
    last = user.until_run(workflow, "completed", "failed")
    assert user.states(workflow) == ["completed"] * 4, (last, lasting_stack.tails())
    steps = user.ask("GET", f"/runs/{last['run']['id']}")["steps"]
    assert [step["output"] for step in steps] == [{"half": True}] * 4
    for step in steps:
        assert_seen_live(user, workflow, step)
