"""What `workty workty run` does: checks a workty, runs it right here, shows it, and says how to go on."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from api.cli.authoring import checked
from api.cli.problems import FAILED, INTERRUPTED, WRONG_USE, Problem
from api.cli.show import plain, print_json
from api.cli.step_show import StepShow, step_show
from api.cli.stepping import LocalStep, has_runtime, run_step
from api.cli.texts import clean
from worker_agent.outcome import Outcome
from workties.authoring.checking import Report
from workties.bounds import MAX_LINE_BYTES
from workties.errors import BadMessage, BadPackage, BadProperties
from workties.manifest import Manifest
from workties.messages import Checkpoint
from workties.parsing import parse_checkpoint
from workties.properties import fill_declared


def run_here(
    path: Path, given: Sequence[str], checkpoint_file: Path | None, pause_after: str | None, *, json_: bool
) -> int:
    """Run the workty at `path`; the exit code of the command."""
    with checked(path) as report:
        step = _step(report, given, _checkpoint(checkpoint_file) if checkpoint_file else None)
        states = report.machine.states if report.machine else ()
    if pause_after is not None and states and pause_after not in states:
        raise Problem(f"--pause-after: there is no state {pause_after!r}; there are {', '.join(states)}", WRONG_USE)
    watcher = _Last(step_show(step.name, json=json_), step.checkpoint)
    try:
        with watcher.show:
            outcome = run_step(step, watcher, pause_after=pause_after, tell=watcher.show.note)
            watcher.show.end(_ended(outcome))
    except (BadPackage, OSError) as error:
        raise Problem(clean(f"{path} cannot be started: {error}"), FAILED) from error
    state = _ended(outcome)
    if json_:
        _print_json_end(state, outcome, watcher.checkpoint)
    else:
        _print_end(step.name, state, outcome)
        if state == "completed" and pause_after is not None:
            click.echo(
                f"It did not pause: after '{clean(pause_after)}' came no checkpoint, or it does not listen", err=True
            )
        if state != "completed" and watcher.checkpoint:
            _say_how_to_go_on(path, step.name, given, watcher.checkpoint)
    return {"completed": 0, "paused": 0, "stopped": INTERRUPTED}.get(state, FAILED)


def parse_property(text: str, types: Mapping[str, str]) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`: JSON if it is JSON, else a text; as it is where the type is text.

    Raises:
        ValueError: there is no name, or no `=`.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"expected NAME=VALUE, got {text!r}")
    if types.get(name) == "text":
        return name, value
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


class _Last:
    """Passes on what a step does, and remembers its last checkpoint."""

    def __init__(self, show: StepShow, checkpoint: Checkpoint | None) -> None:
        self.show, self.checkpoint = show, checkpoint
        self.progress, self.line = show.progress, show.line

    def state(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.show.state(checkpoint)


def _step(report: Report, given: Sequence[str], checkpoint: Checkpoint | None) -> LocalStep:
    manifest = report.manifest
    assert manifest  # noqa: S101  (what is good has both)
    assert report.package  # noqa: S101
    if not has_runtime(manifest.language):
        raise Problem(f"{manifest.language} is not installed here; install it to run this workty", FAILED)
    data, info = report.package
    properties = _properties(manifest, given)
    return LocalStep(data, info, manifest.name, manifest.limits, properties, checkpoint)


def _properties(manifest: Manifest, given: Sequence[str]) -> dict[str, Any]:
    types = {each.name: each.type for each in manifest.properties}
    try:
        return fill_declared(manifest.properties, dict(parse_property(text, types) for text in given))
    except BadProperties as error:
        raise Problem(clean("\n".join(error.problems), keep="\n"), WRONG_USE) from error
    except ValueError as error:
        raise Problem(f"--property: {error}", WRONG_USE) from error


def _checkpoint(file: Path) -> Checkpoint:
    try:
        if file.stat().st_size > MAX_LINE_BYTES:
            raise BadMessage(f"expected at most {MAX_LINE_BYTES} bytes")
        found = parse_checkpoint({"checkpoint": json.loads(file.read_text("utf-8"))})
        if found is None:
            raise BadMessage('expected {"state": ..., "memory": {...}}')
    except (BadMessage, ValueError, RecursionError) as error:
        raise Problem(f"--from-checkpoint: {file} holds no checkpoint: {error}", WRONG_USE) from error
    return found


def _ended(outcome: Outcome) -> str:
    if outcome.reason is None:
        return "completed"
    return "failed" if outcome.failed else outcome.reason.code


def _print_end(name: str, state: str, outcome: Outcome) -> None:
    why = f": {outcome.reason.message}" if outcome.reason and state == "failed" else ""
    click.echo(f"{clean(name)}: {clean(state + why)} after {outcome.exit.usage.wall:.1f} s")
    if state == "completed" and outcome.output:
        click.echo(f"Output: {json.dumps(outcome.output, ensure_ascii=False)}")


def _print_json_end(state: str, outcome: Outcome, checkpoint: Checkpoint | None) -> None:
    end = {
        "event": "end",
        "state": state,
        "reason": plain(outcome.reason),
        "output": outcome.output,
        "checkpoint": plain(checkpoint),
        "seconds": outcome.exit.usage.wall,
    }
    print_json(end, line=True)


def _say_how_to_go_on(path: Path, name: str, given: Sequence[str], checkpoint: Checkpoint) -> None:
    # Hidden, so that it is never packed with a workty that lies here.
    file = Path(f".{re.sub('[^A-Za-z0-9_-]', '_', name)}.checkpoint.json")
    try:
        file.write_text(json.dumps({"state": checkpoint.state, "memory": checkpoint.memory}), "utf-8")
    except OSError as error:
        click.echo(f"Its checkpoint in state '{clean(checkpoint.state)}' cannot be kept: {error}", err=True)
        return
    command = ["workty", "workty", "run", str(path), "--from-checkpoint", str(file)]
    for text in given:
        command += ["--property", text]
    click.echo(f"It can go on in state '{clean(checkpoint.state)}': {shlex.join(command)}", err=True)
