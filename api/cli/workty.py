"""`workty workty`: commands for those who write workties. What each does is elsewhere; here are options and exit codes.

Boards and users' commands need none of what these import, so they import it when they are called.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from api.cli.problems import FAILED, needs
from api.cli.pushing import push
from api.cli.versions import versions

LANGUAGES = ("python", "nodejs", "java", "executable")

_path = click.argument("path", type=click.Path(exists=True, path_type=Path), default=".")
_as_json = click.option("--json", "json_", is_flag=True, help="For programs: JSON.")


@click.group()
def workty() -> None:
    """Write workties: make, run, check, draw, pack, push.

    PATH is the folder of a workty, in which its workty.toml lies, or a zip of one; by default the current folder.
    """


def property_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Properties that the workty declares, each with its `=`."""
    return [CompletionItem(f"{name}=") for name in _declared(context)[0] if name.startswith(incomplete)]


def state_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """States that the workty declares."""
    return [CompletionItem(name) for name in _declared(context)[1] if name.startswith(incomplete)]


@workty.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--language", type=click.Choice(LANGUAGES), default="python", show_default=True, help="To write it in.")
def new(name: Path, language: str) -> None:
    """Make a new workty that runs, in a folder NAME.

    Its name is that of the folder: a letter first, then letters, digits, - and _.
    """
    from api.cli import authoring  # noqa: PLC0415

    authoring.new(name, language)


@workty.command()
@_path
@click.option(
    "--property", "-p", "properties", multiple=True, metavar="NAME=VALUE", shell_complete=property_names,
    help="Value of a property: JSON, or else a text. May be repeated.",
)  # fmt: skip
@click.option(
    "--from-checkpoint", "checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Go on from a checkpoint that an earlier run left.",
)  # fmt: skip
@click.option(
    "--pause-after", metavar="STATE", shell_complete=state_names,
    help="Ask for a pause when this state was entered; it comes with the next checkpoint.",
)  # fmt: skip
@click.option("--json", "json_", is_flag=True, help="For programs: a JSON object a line.")
def run(path: Path, properties: tuple[str, ...], checkpoint: Path | None, pause_after: str | None, json_: bool) -> None:
    """Run a workty right here, as a board would.

    It is checked, packed, unpacked elsewhere and started with its limits, but without a sandbox. Ctrl-c stops it, twice
    kills it. The exit code tells how it ended: 0 completed or paused, 1 failed, 130 stopped.
    """
    needs(("rich", "client"), ("transitions", "board"))
    from api.cli.step_run import run_here  # noqa: PLC0415

    sys.exit(run_here(path, properties, checkpoint, pause_after, json_=json_))


@workty.command()
@_path
@_as_json
def check(path: Path, json_: bool) -> None:
    """Say all that is wrong with a workty, without running it.

    Exit code 1 if there are mistakes; warnings are none.
    """
    from api.cli.authoring import print_check  # noqa: PLC0415

    sys.exit(0 if print_check(path, json_=json_) else FAILED)


@workty.command()
@_path
@click.option("--format", "form", type=click.Choice(["mermaid", "svg"]), help="[default: as FILE ends, else mermaid]")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where to.")
def graph(path: Path, form: str | None, output: Path | None) -> None:
    """Draw the states of a workty and the ways between them."""
    from api.cli.authoring import draw  # noqa: PLC0415

    draw(path, form, output)


@workty.command()
@_path
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The zip.  [default: beside the folder]",
)  # fmt: skip
@_as_json
def pack(path: Path, output: Path | None, json_: bool) -> None:
    """Check a workty and make its package, a zip.

    The same files always make the same bytes. Hidden files are left out.
    """
    from api.cli.authoring import pack_to  # noqa: PLC0415

    pack_to(path, output, json_=json_)


workty.add_command(push)
workty.add_command(versions)


def _declared(context: click.Context) -> tuple[list[str], list[str]]:
    """Names of properties and states in the manifest of the folder that was named; none if it has no good one."""
    try:
        from workties.manifest import MANIFEST, parse_manifest  # noqa: PLC0415

        # An option that lacks its value leaves what comes before it unparsed.
        folder = Path(context.args[0] if context.args else context.params.get("path") or ".")
        found = parse_manifest((folder / MANIFEST).read_text("utf-8"))
    except Exception:  # whatever is wrong, a shell that completes is no place to say it
        return [], []
    return [each.name for each in found.properties], list(found.states)
