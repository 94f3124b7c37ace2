"""`workty workty push`: checks a workty, packs it, and sends it to the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from api.cli.logging_in import logged_in
from api.cli.problems import FAILED, Problem, client_extra
from api.cli.texts import clean

if TYPE_CHECKING:
    from workties.manifest import Manifest

#: How REST begins what is wrong with a package.
_IN_REST = "Path `compressedCode` is not usable: "


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=".")
@click.option("--template/--no-template", default=None, help="Whether others may use it.  [default: as it is, or no]")
@click.option("--price", type=click.IntRange(0), help="What others pay, in cents.  [default: as it is, or 0]")
@click.option("--json", "json_", is_flag=True, help="For programs: JSON.")
def push(path: Path, template: bool | None, price: int | None, json_: bool) -> None:
    """Send a workty to the server (admins).

    PATH is a folder with a workty.toml, or a zip of one; by default the current folder. It is checked first. Your
    workty of the name in workty.toml is made, or gets the code as a new version; the same code again changes nothing.
    Other code under a version that is there is refused.
    """
    client_extra()
    data, manifest = read_package(path)
    with logged_in() as client:
        from api.cli.show import print_json  # noqa: PLC0415

        with _refusals(manifest):
            done = client.push(data, manifest.name, desc=manifest.description, template=template, price=price)
        if json_:
            print_json(done)
            return
        click.echo(f"Workty '{clean(done.name)}' {clean(done.version)} ({done.id}): {done.outcome}")
        click.echo(f"sha256 {done.sha256}")


@contextmanager
def _refusals(manifest: Manifest) -> Iterator[None]:
    """Turn the server's refusals, which speak of requests, into what they mean here."""
    from api.client import Refused  # noqa: PLC0415

    try:
        yield
    except Refused as error:
        if error.status == 401:
            raise
        if error.status == 403:
            why = "only admins may push workties; log in as one: workty login"
        else:
            why = " ".join(text.removeprefix(_IN_REST) for text in error.details) or str(error)
        raise Problem(clean(f"{manifest.name} {manifest.version} was not pushed: {why}"), FAILED) from error


def read_package(path: Path) -> tuple[bytes, Manifest]:
    """The package at `path`, packed if it is a folder, and its manifest. Raises `Problem` if it is no good."""
    from api.cli.authoring import checked  # noqa: PLC0415

    with checked(path) as report:
        assert report.package  # noqa: S101  (what is good has one)
        data, info = report.package
        assert info.manifest  # noqa: S101  (so has this)
        return data if path.is_dir() else path.read_bytes(), info.manifest
