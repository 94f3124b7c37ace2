"""Shows a run that is followed: as bars on a terminal, as plain lines elsewhere, as lines of JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TaskProgressColumn
from rich.table import Column
from rich.text import Text

from api.cli.show import COLOURS, print_json
from api.cli.texts import clean
from api.client.events import Connection, Event, LogLine, LogLines, StepChanged
from api.client.events import Progress as Progressed
from api.client.models import FINAL, Run, Step

#: Columns of a bar, and the width of the terminal from which on it gets them.
BAR, NARROW_BAR, WIDE = 30, 10, 90
#: What a step may wait for so long that a bar is not enough.
TOLD = frozenset({"retry", "no-board"})


class Show(Protocol):
    """Shows events, inside of `with`."""

    def __enter__(self) -> Show: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, event: Event) -> None:
        """Show an event."""


def watch(events: Iterable[Event], show: Show) -> str:
    """Show events until they end; the run's state then, "" if it was not told."""
    state = ""
    with show:
        for event in events:
            show.show(event)
            state = event.run_state if isinstance(event, StepChanged) else state
    return state


def log_text(entry: LogLines, line: LogLine) -> str:
    """A line of a step as it is printed."""
    return f"{clean(entry.step_name or entry.step)} | {clean(line.text.rstrip(), keep=chr(9))}"


def log_texts(entry: LogLines) -> list[str]:
    """The lines of a step as they are printed, and how many are missing before them."""
    missing = [f"{clean(entry.step_name or entry.step)} | ... {entry.dropped} lines are missing"]
    return (missing if entry.dropped else []) + [log_text(entry, line) for line in entry.lines]


def say_failures(run: Run) -> None:
    """Say on stderr why steps failed, which is often in no line that they wrote."""
    for step in run.steps:
        if step.state == "failed":
            click.echo(_change(step), err=True)


def reason_text(step: Step) -> str:
    """Why a step is as it is; "" for steps that run or completed."""
    return clean(step.reason.message) if step.reason and step.state not in {"running", "completed"} else ""


class JsonLines:
    """One JSON object a line for each event; `event` says which kind it is."""

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def show(self, event: Event) -> None:
        """Print an event."""
        names = {StepChanged: "step", Progressed: "progress", LogLines: "log", Connection: "connection"}
        print_json({"event": names[type(event)], **asdict(event)}, line=True)


class PlainLines:
    """A line for each change, for files and pipes.

    Args:
        logs: also what the steps write.
    """

    def __init__(self, *, logs: bool = False) -> None:
        self._logs = logs
        self._names: dict[str, str] = {}
        self._states: dict[str, str | None] = {}

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def show(self, event: Event) -> None:
        """Print what an event tells, if it is worth a line."""
        match event:
            case StepChanged(step=step) if step.state != "initial":
                self._names[step.id] = step.label
                click.echo(_change(step, event.run_state))
                if step.state == "failed" and not self._logs:
                    for line in step.reason.last_output if step.reason else ():
                        click.echo(f"{clean(step.label)} | {clean(line, keep=chr(9))}")
            case Progressed(workty_state=str(state)) if self._states.get(event.step) != state:
                self._states[event.step] = state
                click.echo(f"{clean(self._names.get(event.step, event.step))}: in state '{clean(state)}'")
            case LogLines() if self._logs:
                click.echo("\n".join(log_texts(event)))
            case Connection():
                click.echo(_connection(event), err=True)


class Bars:
    """A bar for each step, on a terminal; lines appear above them.

    Args:
        steps: of the run.
        notes: shown beside the names, by the ids of steps, e.g. names of worktys.
        logs: also what the steps write.
    """

    def __init__(
        self, console: Console, steps: Sequence[Step], notes: Mapping[str, str] | None = None, *, logs: bool = False
    ) -> None:
        self._notes = notes or {}
        self._logs = logs
        self._console = console
        self._progress = Progress(
            _Part("name", console.width // 3),
            *([_Part("note", console.width // 5, style="dim")] if notes else []),
            BarColumn(bar_width=BAR if console.width >= WIDE else NARROW_BAR),
            TaskProgressColumn(),
            _Part("state", 9, least=9),
            *([_Part("own", console.width // 6)] if console.width >= WIDE else []),
            *([_Part("board", console.width // 5, style="dim")] if console.width >= WIDE // 2 else []),
            console=console,
        )
        self._tasks = {step.id: self._add(step) for step in steps}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Show what an event tells."""
        match event:
            case StepChanged(step=step):
                self._change(step)
            case Progressed() if event.step in self._tasks:
                self._progress.update(self._tasks[event.step], completed=event.progress)
                if event.workty_state is not None:
                    self._progress.update(self._tasks[event.step], own=clean(event.workty_state))
            case LogLines() if self._logs:
                for text in log_texts(event):
                    self._print(text)
            case Connection():
                self._print(_connection(event), "yellow")

    def _add(self, step: Step) -> TaskID:
        note = clean(self._notes.get(step.id, ""))
        fields = {"name": clean(step.label), "note": note, "state": clean(step.state), "board": clean(step.board)}
        fields["own"] = clean(step.workty_state or "")
        task = self._progress.add_task("", total=1.0, **fields)  # type: ignore[arg-type]
        self._progress.update(task, completed=step.progress or 0.0)
        return task

    def _change(self, step: Step) -> None:
        if step.id not in self._tasks:
            self._tasks[step.id] = self._add(step)
        task = self._tasks[step.id]
        self._progress.update(task, state=clean(step.state), board=clean(step.board))
        if step.workty_state is not None or step.state in {"waiting", "completed"}:
            own = "" if step.state == "completed" else clean(step.workty_state or "")
            self._progress.update(task, own=own)
        if step.state == "completed" or step.progress is not None:
            self._progress.update(task, completed=1.0 if step.state == "completed" else step.progress)
        if step.state == "waiting" and step.reason and step.reason.code in TOLD:
            self._print(_change(step), "yellow")
        if step.state == "failed":
            self._print(_change(step), "red")
            for line in step.reason.last_output if step.reason and not self._logs else ():
                self._print(f"{clean(step.label)} | {clean(line, keep=chr(9))}")

    def _print(self, text: str, style: str = "") -> None:
        self._progress.console.print(Text(text, style=style))


class _Part(ProgressColumn):
    """A field of a task as plain text, in the colour of the state that it names."""

    def __init__(self, field: str, most: int, *, least: int | None = None, style: str = "") -> None:
        super().__init__(Column(max_width=max(most, 8), min_width=least, no_wrap=True, overflow="ellipsis"))
        self._field = field
        self._style = style

    def render(self, task: Task) -> Text:
        """The field's text."""
        text = str(task.fields[self._field])
        return Text(text, style=self._style or COLOURS.get(text, ""), no_wrap=True, overflow="ellipsis")


def _change(step: Step, run_state: str = "") -> str:
    """A step's state; while its run waits for it to pause or stop, that."""
    state = run_state if step.state == "running" and run_state in {"pausing", "stopping"} else step.state
    where = f" on {clean(step.board)}" if step.board and step.state == "running" else ""
    again = f" (attempt {step.attempt})" if step.attempt > 1 and step.state not in FINAL else ""
    why = f": {reason_text(step)}" if reason_text(step) else ""
    return f"{clean(step.label)}: {clean(state)}{where}{again}{why}"


def _connection(event: Connection) -> str:
    return "Live again" if event.live else "The connection is lost; trying again. The run goes on"
