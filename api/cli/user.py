"""Commands for those who run workflows: what there is, run, stop, pause, resume, logs. What they do is the client's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from api.cli.completing import workflow_names
from api.cli.logging_in import logged_in
from api.cli.problems import FAILED, INTERRUPTED

if TYPE_CHECKING:
    from api.cli.watching import Show
    from api.client import Client, Run, Workflow

as_json = click.option("--json", "json_", is_flag=True, help="For programs: JSON.")
workflow_argument = click.argument("workflow", shell_complete=workflow_names)


def _list(names: str, read: Callable[[Client], list[Any]], row: Callable[[Any], list[object]], json_: bool) -> None:
    """Print what `read` finds, as JSON or as a table with these columns."""
    with logged_in() as client:
        from api.cli.show import print_json, print_table  # noqa: PLC0415

        found = read(client)
        if json_:
            print_json(found)
        else:
            print_table(names.split(","), [row(entry) for entry in found], none="There are none.")


@click.command()
@as_json
def workties(json_: bool) -> None:
    """List the worktys that workflows can be made of."""

    def row(entry: Any) -> list[object]:
        properties = ", ".join(f"{p.name}={p.value}" for p in entry.properties)
        price = f"{entry.price / 100:.2f}" if entry.price else "free"
        return [entry.id, entry.name, entry.version, price, properties, entry.desc]

    _list("id,name,version,price,properties,description", lambda client: client.workties(), row, json_)


@click.command()
@as_json
def workflows(json_: bool) -> None:
    """List your workflows."""

    def row(entry: Any) -> list[object]:
        states = [instance.state for instance in entry.instances]
        told = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        deadline = "" if entry.deadline is None else f"{entry.deadline:g} s"
        return [entry.id, entry.name, len(states), ", ".join(told), deadline]

    _list("id,name,steps,states,deadline", lambda client: client.workflows(), row, json_)


@click.command()
@click.argument("workflow", required=False, shell_complete=workflow_names)
@click.option("--limit", type=click.IntRange(1, 250), default=20, show_default=True, help="At most this many.")
@as_json
def runs(workflow: str | None, limit: int, json_: bool) -> None:
    """List runs, newest first.

    All of them, or those of WORKFLOW (name or id).
    """

    def row(entry: Any) -> list[object]:
        from api.cli.show import duration_text, moment_text  # noqa: PLC0415

        why = entry.waits_for.message if entry.waits_for else ""
        note = why or duration_text(entry.started, entry.finished)
        return [entry.id, entry.name, entry.state, moment_text(entry.created), note]

    _list("run,workflow,state,created (UTC),", lambda c: c.runs(workflow, limit=limit), row, json_)


@click.command()
@as_json
def boards(json_: bool) -> None:
    """List the boards of the installation (admins)."""

    def row(entry: Any) -> list[object]:
        from api.cli.show import moment_text  # noqa: PLC0415

        state = f"{entry.state}{', disabled' if entry.disabled else ''}{', draining' if entry.draining else ''}"
        busy = f"{entry.slots_busy}/{entry.slots}"
        return [entry.id, entry.name, state, busy, ", ".join(entry.labels), moment_text(entry.last_seen)]

    _list("id,name,state,busy,labels,seen (UTC)", lambda client: client.boards(), row, json_)


@click.command()
@workflow_argument
@click.option("--follow", is_flag=True, help="Watch the run until it ends.")
@click.option("--logs", is_flag=True, help="Watch it with what its steps write; means --follow.")
@as_json
def run(workflow: str, follow: bool, logs: bool, json_: bool) -> None:
    """Run a workflow, and watch it if you like.

    WORKFLOW is a name, an id, or a file (.yml) that describes one.

    A file's workflow is made, or changed to what the file says, before it runs. A paused run goes on. With --follow the
    exit code tells how it ended: 0 completed, 1 failed or stopped. Ctrl-c ends only the watching.
    """
    with logged_in() as client:
        from api.cli.starting import named_workflow  # noqa: PLC0415

        found = named_workflow(client, workflow, tell=not json_)
        if follow or logs:
            _run_and_follow(client, found, logs=logs, json_=json_)
            return
        started = client.run(found)
        if json_:
            _print(started)
        else:
            _say(started, f"workty logs --follow {started.id}")


@click.command()
@workflow_argument
@as_json
def stop(workflow: str, json_: bool) -> None:
    """Stop a workflow's run.

    WORKFLOW is a name or an id.
    """
    _command(lambda client: client.stop(workflow), json_)


@click.command()
@workflow_argument
@as_json
def pause(workflow: str, json_: bool) -> None:
    """Pause a workflow's run at its next checkpoint.

    WORKFLOW is a name or an id.
    """
    _command(lambda client: client.pause(workflow), json_)


@click.command()
@workflow_argument
@as_json
def resume(workflow: str, json_: bool) -> None:
    """Go on with a paused run.

    WORKFLOW is a name or an id.
    """
    _command(lambda client: client.resume(workflow), json_)


@click.command()
@click.argument("run_", metavar="RUN", shell_complete=workflow_names)
@click.option("--follow", is_flag=True, help="Go on with what is written until the run ends.")
@as_json
def logs(run_: str, follow: bool, json_: bool) -> None:
    """Print what the steps of a run wrote.

    RUN is a run's id, or a workflow, which means its latest run.
    """
    with logged_in() as client:
        from api.cli.logs import find_run, print_log, print_log_live  # noqa: PLC0415

        found = find_run(client, run_)
        if follow:
            with _interruptible(found.workflow):
                print_log_live(client, found, json_=json_)
        else:
            print_log(client, found, json_=json_)


@click.command()
@click.argument("run_", metavar="RUN", shell_complete=workflow_names)
@as_json
def explain(run_: str, json_: bool) -> None:
    """Tell the story of a run: why it waits or failed.

    RUN is a run's id, or a workflow, which means its latest run.
    """
    with logged_in() as client:
        from api.cli.explaining import print_explanation  # noqa: PLC0415
        from api.cli.logs import find_run  # noqa: PLC0415

        print_explanation(client.explain(find_run(client, run_)), json_=json_)


def _command(send: Callable[[Client], Run | None], json_: bool) -> None:
    with logged_in() as client:
        run = send(client)
        if json_:
            _print(run)
        elif run is None:
            click.echo("It has never run.")
        else:
            _say(run)


def _say(run: Run, hint: str = "") -> None:
    from api.cli.texts import clean  # noqa: PLC0415
    from api.cli.watching import say_failures  # noqa: PLC0415

    why = f": {clean(run.waits_for.message)}" if run.waits_for else ""
    is_ = "has" if run.state == "failed" else "is"
    click.echo(f"Run {clean(run.id)} of '{clean(run.name)}' {is_} {clean(run.state)}{why}.")
    say_failures(run)
    if hint and not run.ended:
        click.echo(f"Follow it: {hint}")


def _print(run: Run | None) -> None:
    from api.cli.show import print_json  # noqa: PLC0415

    print_json(run)


def _run_and_follow(client: Client, workflow: Workflow, *, logs: bool, json_: bool) -> None:
    """Run and watch to the end; exit with what that was."""
    from api.cli.show import print_json  # noqa: PLC0415
    from api.cli.texts import clean  # noqa: PLC0415
    from api.cli.watching import watch  # noqa: PLC0415

    with client.follow(workflow, logs=logs) as events, _interruptible(workflow.id):
        run = client.run(workflow)
        if json_:
            print_json({"event": "run", "run": _plain(run)}, line=True)
        state = watch(events, _show(run, logs=logs, json_=json_))
    if json_:
        print_json({"event": "end", "run": _plain(client.read_run(run.id))}, line=True)
    else:
        click.echo(f"Workflow '{clean(run.name)}': {clean(state)}")
    raise SystemExit(0 if state == "completed" else FAILED)


def _plain(run: Run) -> Any:
    from api.cli.show import plain  # noqa: PLC0415

    return plain(run)


def _show(run: Run, *, logs: bool, json_: bool) -> Show:
    from api.cli.show import plain_console  # noqa: PLC0415
    from api.cli.watching import Bars, JsonLines, PlainLines  # noqa: PLC0415

    if json_:
        return JsonLines()
    console = plain_console()
    return Bars(console, run.steps, logs=logs) if console.is_terminal else PlainLines(logs=logs)


@contextmanager
def _interruptible(workflow_id: str) -> Iterator[None]:
    """Ctrl-c ends the watching, and says that the run goes on."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nThe run goes on. Stop it: workty stop {workflow_id}", err=True)
        raise SystemExit(INTERRUPTED) from None
