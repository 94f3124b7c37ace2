"""`workty demo`: a sample workflow on the embedded stack, over its REST and live API, with a bar for each step."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic

from rich import box
from rich.console import Console
from rich.table import Table

from api.cli.embedded import BOARDS, SLOTS, EmbeddedStack
from api.cli.show import COLOURS
from api.cli.stopping import log_to_stderr
from api.cli.watching import Bars, reason_text, watch
from api.client import Client, Definition, Event, Step, StepChanged, StepDefinition
from api.client.models import FINAL
from orchestrator.settings import ServerSettings

#: Name, workty and properties of a step.
Sample = tuple[str, str, Mapping[str, float]]


@dataclass
class ShownStep:
    """A step as the summary shows it; `began` and `ended` are seconds of a steady clock."""

    name: str
    workty: str
    state: str = "initial"
    board: str = ""
    attempt: int = 0
    reason: str = ""
    began: float | None = None
    ended: float | None = None

    def note(self, step: Step, now: float) -> None:
        """Note how the step is now."""
        self.state, self.attempt, self.board = step.state, step.attempt, step.board or self.board
        if step.state == "running":
            self.began = self.began or now
        if step.state in FINAL:
            self.ended = now
            self.reason = reason_text(step)

    def seconds(self) -> str:
        """How long it ran."""
        return "" if self.began is None or self.ended is None else f"{self.ended - self.began:.2f} s"


def sample_steps() -> list[Sample]:
    """The steps; NodeJS ones only where node is."""
    node = "with-delay-node" if shutil.which("node") else "with-delay"
    return [
        ("check tools", "without-delay", {}),
        ("warm oven", "with-delay", {"delay": 1.5}),
        ("mix dough", node, {"delay": 1.5}),
        ("bake", "with-delay", {"delay": 2.0}),
        ("cool", node, {"delay": 1.0}),
        ("serve", "without-delay", {}),
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
        return _run_sample(console, Client.login(stack.url, settings.admin_email, password))
    finally:
        stack.stop()


def _run_sample(console: Console, admin: Client) -> int:
    account = {"name": "demo", "email": "demo@localhost", "password": secrets.token_urlsafe(16)}
    admin.rest.post("/accounts", account)
    admin.close()
    samples = sample_steps()
    steps = [StepDefinition(workty, name, properties=values) for name, workty, values in samples]
    with Client.login(admin.url, account["email"], account["password"]) as client:
        made = client.apply(Definition("Bake bread", tuple(steps), "A sample"))
        shown = {
            instance.id: ShownStep(instance.name, workty)
            for instance, (_, workty, _) in zip(client.workflow(made.workflow).instances, samples, strict=True)
        }
        notes = {id_: step.workty for id_, step in shown.items()}
        with client.follow(made.workflow) as events:
            run = client.run(made.workflow)
            state = watch(_noted(events, shown), Bars(console, run.steps, notes))
    console.print(_summary(list(shown.values()), state))
    return 0 if state == "completed" else 1


def _noted(events: Iterable[Event], shown: Mapping[str, ShownStep]) -> Iterator[Event]:
    """The same events, after what they tell was noted for the summary."""
    for event in events:
        if isinstance(event, StepChanged):
            shown[event.step.id].note(event.step, monotonic())
        yield event


def _summary(steps: list[ShownStep], state: str) -> Table:
    table = Table(title=f"Workflow 'Bake bread': {state}", title_style=COLOURS.get(state, "red"), box=box.SIMPLE)
    for column in ("#", "step", "workty", "state", "board", "attempt", "time"):
        table.add_column(column, justify="right" if column in {"#", "attempt", "time"} else "left", no_wrap=True)
    for number, step in enumerate(steps, start=1):
        colour = COLOURS.get(step.state, "white")
        shown = f"[{colour}]{step.state}[/] {step.reason}".rstrip()
        table.add_row(str(number), step.name, step.workty, shown, step.board, str(step.attempt), step.seconds())
    return table
