"""Shows a step that runs right here: as a bar on a terminal, as plain lines elsewhere, as JSON for programs."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from api.cli.show import plain_console, print_json
from api.cli.texts import clean
from workties.messages import Checkpoint

#: Columns of the bar, and the width of the terminal from which on it gets them, and from which on words stand beside.
BAR, NARROW_BAR, WIDE, WORDS = 30, 10, 90, 60
#: Without a terminal, progress is told when it has grown by so much.
TELL = 0.1


class StepShow(Protocol):
    """Shows what a step does, inside of `with`."""

    def __enter__(self) -> StepShow: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def state(self, checkpoint: Checkpoint) -> None:
        """It entered a state, or made a checkpoint of it."""

    def progress(self, fraction: float, message: str) -> None:
        """It is this far."""

    def line(self, stream: str, text: str) -> None:
        """It wrote a line."""

    def note(self, text: str) -> None:
        """Say something to whoever watches."""

    def end(self, state: str) -> None:
        """It is `completed`, `failed`, `paused` or `stopped`."""


def step_show(name: str, *, json: bool) -> StepShow:
    """What fits where the output goes."""
    if json:
        return JsonStep()
    console = plain_console()
    return StepBar(name, console) if console.is_terminal else PlainStep(name)


class JsonStep:
    """One JSON object a line; `event` says what it tells."""

    def __enter__(self) -> JsonStep:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def state(self, checkpoint: Checkpoint) -> None:
        """Print state and memory."""
        print_json({"event": "state", "state": checkpoint.state, "memory": checkpoint.memory}, line=True)

    def progress(self, fraction: float, message: str) -> None:
        """Print a report."""
        print_json({"event": "progress", "progress": fraction, "message": message}, line=True)

    def line(self, stream: str, text: str) -> None:
        """Print a line and where it came from."""
        print_json({"event": "log", "stream": stream, "text": text}, line=True)

    def note(self, text: str) -> None:
        """Nothing: programs need no words."""

    def end(self, state: str) -> None:
        """Nothing yet: the last line tells more than this."""


class PlainStep:
    """A line for each state and each line of output, and some of the progress, for files and pipes."""

    def __init__(self, name: str) -> None:
        self._name = clean(name)
        self._state = ""
        self._told = -1.0

    def __enter__(self) -> PlainStep:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def state(self, checkpoint: Checkpoint) -> None:
        """Print a state when it is another one than before."""
        if checkpoint.state != self._state:
            self._state, self._told = checkpoint.state, -1.0
            self._print(f"{self._name}: {clean(checkpoint.state)}")

    def progress(self, fraction: float, message: str) -> None:
        """Print a report, if much has happened since the last one."""
        if not self._told <= fraction < self._told + TELL:
            self._told = fraction
            self._print(f"{self._name}: {fraction:.0%} {clean(message)}".rstrip())

    def line(self, stream: str, text: str) -> None:
        """Print a line."""
        self._print(f"{self._name} | {clean(text, keep=chr(9))}")

    def note(self, text: str) -> None:
        """Print it beside what the step says."""
        click.echo(text, err=True)

    def end(self, state: str) -> None:
        """Nothing: what is printed afterwards tells it."""

    def _print(self, text: str) -> None:
        click.echo(text)


class StepBar(PlainStep):
    """A bar with the state and a few words; states and lines of output appear above it."""

    def __init__(self, name: str, console: Console) -> None:
        super().__init__(name)
        self._bar = Progress(
            _part("name", console.width // 4),
            BarColumn(bar_width=BAR if console.width >= WIDE else NARROW_BAR),
            TaskProgressColumn(),
            _part("state", console.width // 4, "cyan"),
            *([_part("message", console.width // 3, "dim")] if console.width >= WORDS else []),
            console=console,
        )
        self._task = self._bar.add_task("", total=1.0, name=self._name, state="", message="")

    def __enter__(self) -> StepBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def state(self, checkpoint: Checkpoint) -> None:
        """Show the state, and print it when it is another one than before."""
        self._bar.update(self._task, state=clean(checkpoint.state))
        super().state(checkpoint)

    def progress(self, fraction: float, message: str) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=fraction, message=clean(message))

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self._bar.console.print(Text(text, style="yellow"))

    def end(self, state: str) -> None:
        """Leave the bar as it ended."""
        self._bar.update(self._task, message="", state=state)
        if state == "completed":
            self._bar.update(self._task, completed=1.0)

    def _print(self, text: str) -> None:
        self._bar.console.print(Text(text))


def _part(field: str, most: int, style: str = "") -> TextColumn:
    column = Column(max_width=max(most, 8), no_wrap=True, overflow="ellipsis")
    return TextColumn(f"{{task.fields[{field}]}}", style=style or "none", markup=False, table_column=column)
