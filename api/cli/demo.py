"""`workty demo`: a sample workflow on the embedded stack, over its REST and live API, with a bar for each step."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Table

from api.cli.client import Client
from api.cli.embedded import BOARDS, SLOTS, EmbeddedStack
from api.cli.stopping import log_to_stderr
from orchestrator.settings import ServerSettings

#: Seconds after which a run that has not ended counts as stuck.
PATIENCE = 60.0
#: Name, workty and delay (seconds) of a step.
Sample = tuple[str, str, float | None]
FINAL = frozenset({"completed", "failed", "stopped"})
COLOURS = {"completed": "green", "failed": "red", "running": "cyan", "waiting": "yellow"}


@dataclass
class ShownStep:
    """A step as it is shown; `began` and `ended` are seconds of a steady clock."""

    id: str
    name: str
    workty: str
    task: TaskID
    state: str = "initial"
    board: str = ""
    attempt: int = 0
    reason: str = ""
    began: float | None = None
    ended: float | None = None

    def seconds(self) -> str:
        """How long it ran."""
        return "" if self.began is None or self.ended is None else f"{self.ended - self.began:.2f} s"


def sample_steps() -> list[Sample]:
    """The steps; NodeJS ones only where node is."""
    node = "with-delay-node" if shutil.which("node") else "with-delay"
    return [
        ("check tools", "without-delay", None),
        ("warm oven", "with-delay", 1.5),
        ("mix dough", node, 1.5),
        ("bake", "with-delay", 2.0),
        ("cool", node, 1.0),
        ("serve", "without-delay", None),
    ]


def run_demo() -> int:
    """Run the sample; returns 0 if it completed, else 1."""
    console = Console(highlight=False)
    log_to_stderr("ERROR")
    password = secrets.token_urlsafe(16)
    settings = ServerSettings(port=0, admin_password=password)
    stack = EmbeddedStack(settings)
    try:
        console.print(f"Starting Workty with {BOARDS} simulated boards of {SLOTS} slots each ...")
        stack.start()
        return _run_sample(console, Client(stack.url, settings.admin_email, password))
    finally:
        stack.stop()


def _run_sample(console: Console, admin: Client) -> int:
    account = {"name": "demo", "email": "demo@localhost", "password": secrets.token_urlsafe(16)}
    admin.post("/accounts", account)
    admin.close()
    client = Client(admin.url, account["email"], account["password"])
    told: SimpleQueue[tuple[str, Mapping[str, Any]]] = SimpleQueue()
    socket = client.follow(lambda event, payload: told.put((event, payload)))
    try:
        workflow = client.post("/workflows", {"name": "Bake bread", "desc": "A sample"})
        with _bars(console) as progress:
            steps = [_add(client, workflow["_id"], progress, sample) for sample in sample_steps()]
            client.put(f"/workflows/{workflow['_id']}/running")
            state = _watch(told, progress, {step.id: step for step in steps})
    finally:
        socket.disconnect()
        client.close()
    console.print(_summary(steps, state))
    return 0 if state == "completed" else 1


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[step]:<16}"),
        TextColumn("{task.fields[workty]:<16}", style="dim"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}"),
        TextColumn("{task.fields[board]}", style="dim"),
        console=console,
    )


def _add(client: Client, workflow_id: str, progress: Progress, sample: Sample) -> ShownStep:
    name, workty, delay = sample
    found = client.get("/workties", name=workty)[0]
    instance = client.post(f"/workflows/{workflow_id}/worktiesInstances", {"worktyId": found["_id"], "name": name})
    for entry in instance["propertiesIds"] if delay is not None else ():
        path = f"/workflows/{workflow_id}/worktiesInstances/{instance['_id']}/properties/{entry['_id']}"
        client.put(path, {"value": delay})
    task = progress.add_task(name, total=1.0, step=name, workty=workty, state="initial", board="")
    return ShownStep(instance["_id"], name, workty, task)


def _watch(told: SimpleQueue[tuple[str, Mapping[str, Any]]], progress: Progress, steps: Mapping[str, ShownStep]) -> str:
    """Show what is told until the run has ended; returns its final state, or `stuck`."""
    deadline = monotonic() + PATIENCE
    while (left := deadline - monotonic()) > 0:
        try:
            event, payload = told.get(timeout=left)
        except Empty:
            break
        if event == "sv.workflow.progress":
            found = payload["worktyInstance"]
            progress.update(steps[found["id"]].task, completed=found["progress"])
            continue
        workflow = payload["workflow"]
        if workflow.get("run") is None or "worktiesInstances" in workflow:
            continue  # about the workflow as a whole
        _show(progress, steps[workflow["worktyInstance"]["id"]], workflow["worktyInstance"])
        if workflow["run"]["state"] in FINAL:
            return str(workflow["run"]["state"])
    return "stuck"


def _show(progress: Progress, step: ShownStep, found: Mapping[str, Any]) -> None:
    step.state, step.attempt = found["state"], found["attempt"]
    step.board = found["device"]["name"] if found["device"] else step.board
    if step.state == "running":
        step.began = step.began or monotonic()
    if step.state in FINAL:
        step.ended = monotonic()
        step.reason = found["reason"]["message"] if found["reason"] else ""
    colour = COLOURS.get(step.state, "white")
    done = {"completed": found["progress"]} if found["progress"] is not None else {}
    progress.update(step.task, state=f"[{colour}]{step.state:<9}", board=step.board, **done)


def _summary(steps: list[ShownStep], state: str) -> Table:
    table = Table(title=f"Workflow 'Bake bread': {state}", title_style=COLOURS.get(state, "red"), box=box.SIMPLE)
    for column in ("#", "step", "workty", "state", "board", "attempt", "time"):
        table.add_column(column, justify="right" if column in {"#", "attempt", "time"} else "left", no_wrap=True)
    for number, step in enumerate(steps, start=1):
        colour = COLOURS.get(step.state, "white")
        shown = f"[{colour}]{step.state}[/] {step.reason}".rstrip()
        table.add_row(str(number), step.name, step.workty, shown, step.board, str(step.attempt), step.seconds())
    return table
