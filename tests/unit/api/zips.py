"""Packages for tests: small zips, good and bad ones."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

MANIFEST = """
name = "copier"
version = "1.2"
language = "python"
entry = "main.py"
"""


def zipped(**files: str) -> bytes:
    """A zip with these files; two underscores in a name stand for a dot, three for a slash.

    The same files are the same bytes at any time: what is written by its name alone is dated now.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name.replace("___", "/").replace("__", "."))
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def named(name: str, content: str = "x") -> bytes:
    """A zip with one file of exactly this name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def buffer(data: bytes) -> dict[str, Any]:
    """As a v1 client sends and gets binary data."""
    return {"type": "Buffer", "data": list(data)}


def base64_text(data: bytes) -> str:
    """As a client with less patience sends it."""
    return base64.b64encode(data).decode()


APP = zipped(app__js="process.exit(0)")
PACKAGE_JSON = zipped(package__json='{"main": "lib/start"}', lib___start__js="", app__js="")
FOLDER = zipped(tool___app__js="")
PYTHON = zipped(workty__toml=MANIFEST, main__py="")
ENCODINGS = {"Buffer": buffer, "list": list, "base64": base64_text}
