"""`compressedCode` as clients send it: decoded and inspected, never stored or run here."""

from __future__ import annotations

import base64
import io
import posixpath
import re
import zipfile

from orchestrator.values import NAME_LIMIT, UNSTORABLE, Values, storable
from workties.errors import BadPackage
from workties.package import PackageInfo, inspect

FIELD = "compressedCode"
ENTRY_FIELD = "entryPointModuleFileName"
DEFAULT_ENTRY = "app.js"

_NO_ZIP = f"Path `{FIELD}` is not a zip archive."


def sent_code(values: Values) -> bytes | None:
    """The zip that a client sent as a Buffer, a list of bytes, or base64 text; None for null.

    Notes a problem, and returns None, if it is none of these or no zip.
    """
    sent = values.raw(FIELD)
    if sent is None:
        return None
    data = _decoded(sent)
    if data is None or not zipfile.is_zipfile(io.BytesIO(data)):
        values.wrong(_NO_ZIP)
        return None
    return data


def sent_entry(values: Values) -> str:
    """The entry point that a client sent, a relative path inside the zip; the default if none was sent."""
    sent = values.raw(ENTRY_FIELD)
    if sent is None:
        return DEFAULT_ENTRY
    path = values.text(ENTRY_FIELD, limit=NAME_LIMIT)
    if isinstance(sent, str) and not _is_inside(sent):
        values.wrong(f"Path `{ENTRY_FIELD}` is not a relative path inside the zip.")
    return path


def inspected(values: Values, data: bytes, *, language: str, entry: str) -> PackageInfo | None:
    """What is known of a package; notes a problem and returns None if it cannot be used with this entry point."""
    try:
        info = inspect(data, language=language, entry=entry)
    except BadPackage as error:
        # Whoever sends only another entry point is told about that one.
        field = FIELD if FIELD in values or ENTRY_FIELD not in values else ENTRY_FIELD
        values.wrong(f"Path `{field}` is not usable: {error}.")
        return None
    for declared in info.manifest.properties if info.manifest else ():
        if not storable(declared.default):
            values.wrong(f"Path `{FIELD}` is not usable: the default of property '{declared.name}': {UNSTORABLE}.")
    return info


def _decoded(sent: object) -> bytes | None:
    try:
        if isinstance(sent, str):
            return base64.b64decode(re.sub(r"\s", "", sent), validate=True)
        numbers = sent.get("data") if isinstance(sent, dict) and sent.get("type") == "Buffer" else sent
        return bytes(numbers) if isinstance(numbers, list) else None
    except (ValueError, TypeError):
        return None


def _is_inside(path: str) -> bool:
    """Whether a path can be one inside a zip, in the spellings that `package.json` allows."""
    if not path.strip() or re.search(r"[\\\x00-\x1f\x7f]|^[A-Za-z]:", path):
        return False
    inside = posixpath.normpath(path)
    return inside not in (".", "..") and not inside.startswith(("/", "../"))
