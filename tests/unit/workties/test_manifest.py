"""The manifest: what it may say, and that mistakes are named."""

from __future__ import annotations

import pytest

from workties.errors import BadPackage
from workties.manifest import DeclaredProperty, Manifest, Recovery, parse_manifest
from workties.messages import Access, Limits

FULL = """
name = "copy"
version = "1.2"
language = "python"
entry = "src/main.py"
description = "Copies files."
states = ["listing", "copying"]
labels = ["nas"]
resumable = false
on_interrupt = "fail"
offline_grace = 600

[[properties]]
name = "delay"
type = "number"
default = 1
description = "Seconds between two files."

[[properties]]
name = "options"

[limits]
wall = 60
memory = 1000000

[access]
network = true
shared = true
"""
SHORT = 'name = "a"\nversion = "1"\nlanguage = "nodejs"\nentry = "app.js"\n'


def test_a_full_manifest_is_read() -> None:
    assert parse_manifest(FULL) == Manifest(
        name="copy",
        version="1.2",
        language="python",
        entry="src/main.py",
        description="Copies files.",
        states=("listing", "copying"),
        properties=(
            DeclaredProperty("delay", "number", 1, "Seconds between two files."),
            DeclaredProperty("options", "any", "", ""),
        ),
        limits=Limits(wall=60.0, memory=1000000),
        labels=("nas",),
        access=Access(network=True, shared=True),
        recovery=Recovery(resumable=False, on_interrupt="fail", offline_grace=600.0),
    )


def test_name_version_language_and_entry_are_enough() -> None:
    assert parse_manifest(SHORT) == Manifest("a", "1", "nodejs", "app.js")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name = ", "no TOML"),
        ("x = " + "[" * 5000, "no TOML"),
        ("", "name: "),
        (SHORT.replace('"1"', "1"), "version: "),
        (SHORT.replace("nodejs", "cobol"), "language: expected one of executable, java, nodejs, python"),
        (SHORT.replace('"app.js"', '""'), "entry: "),
        (SHORT + "entrypoint = 1", "entrypoint: unknown key; known are access, description, entry"),
        (SHORT + "states = [1]", r"states\[0\]: "),
        (SHORT + 'states = ["a", "a"]', "states: 'a' is there more than once"),
        (SHORT + "labels = 'nas'", "labels: "),
        (SHORT + "properties = {}", "properties: "),
        (SHORT + "[[properties]]\ntype = 'text'", r"properties\[0\].name: "),
        (SHORT + "[[properties]]\nname = 'a'\nkind = 'text'", r"properties\[0\].kind: unknown key"),
        (SHORT + "[[properties]]\nname = 'a'\ntype = 'date'", r"properties\[0\].type: "),
        (SHORT + "[[properties]]\nname = 'a'\n[[properties]]\nname = 'a'", "properties: 'a' is there more than once"),
        (SHORT + "[[properties]]\nname = 'a'\ndefault = 1979-05-27", r"properties\[0\].default: expected plain JSON"),
        (SHORT + "[limits]\nwal = 1", "limits.wal: unknown key; known are cpu"),
        (SHORT + "[limits]\nwall = -1", "limits.wall: "),
        (SHORT + f"[limits]\nwall = {'9' * 400}", "limits.wall: expected a number from"),
        (SHORT + f"labels = 0x{'f' * 5000}", "labels: .*got a number that is too long"),
        (SHORT + "limits = 1", "limits: expected an object"),
        (SHORT + "[access]\nwifi = true", "access.wifi: unknown key; known are devices"),
        (SHORT + "[access]\nhost = 1", "access.host: expected true or false"),
        (SHORT + "resumable = 'yes'", "resumable: expected true or false"),
        (SHORT + "on_interrupt = 'resume'", "on_interrupt: expected one of fail, restart"),
        (SHORT + "offline_grace = -1", "offline_grace: "),
        (SHORT + "recovery = 1", "recovery: unknown key"),
    ],
)
def test_a_mistake_is_refused_and_its_key_is_named(text: str, named: str) -> None:
    with pytest.raises(BadPackage, match=f"workty.toml: .*{named}"):
        parse_manifest(text)


@pytest.mark.parametrize(
    ("kind", "fits", "fails"),
    [
        ("text", '"a"', "1"),
        ("number", "1.5", "true"),
        ("number", "1", '"1"'),
        ("integer", "1", "1.5"),
        ("boolean", "true", "0"),
    ],
)
def test_a_default_must_be_of_the_property_s_type(kind: str, fits: str, fails: str) -> None:
    text = SHORT + f"[[properties]]\nname = 'a'\ntype = '{kind}'\ndefault = "
    assert parse_manifest(text + fits).properties[0].type == kind
    with pytest.raises(BadPackage, match=rf"properties\[0\].default: expected a value of type {kind}"):
        parse_manifest(text + fails)
