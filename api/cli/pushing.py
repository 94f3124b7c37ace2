"""`workty workty push`: packs a folder, checks the package as the server does, and sends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from api.cli.logging_in import logged_in
from api.cli.problems import FAILED, Problem, client_extra

if TYPE_CHECKING:
    from workties.manifest import Manifest


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--template/--no-template", default=None, help="Whether others may use it.  [default: as it is, or no]")
@click.option("--price", type=click.IntRange(0), help="What others pay, in cents.  [default: as it is, or 0]")
@click.option("--json", "json_", is_flag=True, help="For programs: JSON.")
def push(path: Path, template: bool | None, price: int | None, json_: bool) -> None:
    """Send a workty to the server (admins).

    PATH is a folder with a workty.toml, or a zip of one. Your workty of the name in workty.toml is made, or gets the
    code as a new version; the same code again changes nothing. Other code under a version that is there is refused.
    """
    client_extra()
    data, manifest = read_package(path)
    with logged_in() as client:
        from api.cli.show import clean, print_json  # noqa: PLC0415

        done = client.push(data, manifest.name, desc=manifest.description, template=template, price=price)
        if json_:
            print_json(done)
            return
        click.echo(f"Workty '{clean(done.name)}' {clean(done.version)} ({done.id}): {done.outcome}")
        click.echo(f"sha256 {done.sha256}")


def read_package(path: Path) -> tuple[bytes, Manifest]:
    """The package at `path`, packed if it is a folder, and its manifest. Raises `Problem` if it is no good."""
    from api.cli.show import clean  # noqa: PLC0415
    from workties.errors import BadPackage  # noqa: PLC0415
    from workties.package import inspect, pack  # noqa: PLC0415

    try:
        data = pack(path) if path.is_dir() else path.read_bytes()
        manifest = inspect(data).manifest
    except BadPackage as error:
        raise Problem(clean(f"{path}: {error}"), FAILED) from error
    except OSError as error:
        raise Problem(clean(f"{path}: cannot be read: {error.strerror}"), FAILED) from error
    if manifest is None:
        raise Problem(clean(f"{path} has no workty.toml, which says name and version. Add one"), FAILED)
    return data, manifest
