"""In which line of `workty.toml` a key is, and all that is wrong with the file.

`workties.manifest` says what a manifest may hold and stops at the first mistake; here it is asked again without it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from workties.errors import BadMessage
from workties.manifest import Manifest, build

#: What stands for a required key that is wrong, to find what else is.
_STAND_INS = {"name": "x", "version": "x", "language": "executable", "entry": "x"}
_PATH = re.compile(r"([A-Za-z0-9_-]+)(?:\[(\d+)\])?(?:\.([A-Za-z0-9_-]+))?")
_HEADER = re.compile(r"\s*\[+\s*([A-Za-z0-9_.-]+)\s*\]")


def read(text: str) -> tuple[Manifest | None, list[tuple[int | None, str]]]:
    """The manifest in `text` if nothing is wrong with it, and each thing that is, with its line."""
    try:
        body = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = re.search(r" \(at line (\d+), column \d+\)", str(error))
        message = str(error).replace(at.group(), "") if at else str(error)
        return None, [(int(at.group(1)) if at else None, f"no TOML: {message}")]
    found: list[tuple[int | None, str]] = []
    while True:
        try:
            manifest = build(body)
        except BadMessage as error:
            path, _, what = error.reason.partition(": ")
            new = (line_of(text, path), _said(path, what))
            if new in found or not _mend(body, path):
                return None, [*found, new]
            found.append(new)
        else:
            return (None if found else manifest), found


def line_of(text: str, path: str) -> int | None:
    """The line (from 1) of a key such as `entry`, `limits.cpu`, `properties[1].default`; of its table if it has none.

    None if neither is there.
    """
    found = _PATH.match(path)
    if not found:
        return None
    table, index, key = found[1], int(found[2] or 0), found[3]
    lines = text.splitlines()
    headers = [number for number, line in enumerate(lines, 1) if (m := _HEADER.match(line)) and m[1] == table]
    if index < len(headers):
        header = headers[index]
        return next(_keys(lines[header:], key or "", header), header)
    before = next((i for i, line in enumerate(lines) if _HEADER.match(line)), len(lines))
    return next(_keys(lines[:before], table, 0), None)


def _keys(lines: list[str], key: str, before: int) -> Iterator[int]:
    """Lines of a key up to the next table."""
    for number, line in enumerate(lines, before + 1):
        if _HEADER.match(line):
            return
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            yield number


def _said(path: str, what: str) -> str:
    return f"{path} is missing" if what.endswith(", got None") else f"{path}: {what}"


def _mend(body: dict[str, Any], path: str) -> bool:
    """Take what is wrong out of `body`; False if that cannot be done."""
    found = _PATH.match(path)
    if not found or (found[1] not in body and found[1] not in _STAND_INS):
        return False
    table, index, key = found.groups()
    whole = body.get(table)
    part = whole[int(index)] if index and isinstance(whole, list) else whole
    if key and isinstance(part, dict) and isinstance(whole, list) and key == "name":
        part["name"] = f"x{index}"
    elif key and isinstance(part, dict) and key in part:
        del part[key]
    elif index and isinstance(whole, list):
        del whole[int(index)]
    elif table in _STAND_INS:
        body[table] = _STAND_INS[table]
    else:
        del body[table]
    return True
