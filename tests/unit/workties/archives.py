"""Zips as attackers and unlucky tools make them."""

from __future__ import annotations

import io
import stat
import struct
import zipfile


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def entry(name: str, mode: int, *, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    info.compress_type = method
    return info


def overlapping(*, quoted: bool) -> bytes:
    """A zip of two entries that share their bytes; `quoted`: the bytes of the first hold the header of the second."""
    inner = zipped(("b.js", b"x" * 100))
    header = inner[: inner.index(b"PK\x01\x02")]
    data = bytearray(zipped((entry("a.js", stat.S_IFREG | 0o644, method=zipfile.ZIP_STORED), header), ("b.js", b"y")))
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    place = data.index(header) if quoted else 0
    struct.pack_into("<I", data, second + 42, place)
    data[second + 16 : second + 28] = inner[inner.index(b"PK\x01\x02") + 16 :][:12]
    return bytes(data)
