"""The package format: a zip with code and, in most cases, a manifest. Packs, inspects and unpacks.

Nothing in an archive is trusted: names, kinds and claimed sizes of all entries are checked before the first byte is
unpacked, and the bytes that really come out are counted. Where archives come from and go to is not decided here.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import posixpath
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from workties.errors import BadPackage
from workties.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest, parse_manifest

#: Largest package, and what all of its files may hold together, bytes.
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
#: Most entries (files and folders) of a package.
MAX_ENTRIES = 2000
#: Largest unpacked size as a multiple of the packed size; not asked of packages that unpack to less than 1 MiB.
MAX_RATIO = 100
#: Longest path inside a package, bytes of UTF-8, and the longest of its parts.
MAX_PATH_BYTES, MAX_NAME_BYTES = 1024, 255
#: Largest table of contents of a zip, bytes; a larger one is refused before it is parsed.
MAX_DIRECTORY_BYTES = 1024 * 1024

_RATIO_FLOOR = 1024 * 1024
_CHUNK = 64 * 1024
#: What lies at least between the place of an entry and its bytes.
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1 | 0x40 | 0x2000
#: What the zip reader raises for archives that are broken or use what it does not know.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, OverflowError)


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """What is known of a package after inspection: digest and size (bytes) of the zip, `entry` as a path inside the
    zip (with its top folder), language, and the manifest if it has one."""

    sha256: str
    size: int
    entry: str
    language: str
    manifest: Manifest | None


@dataclass(frozen=True, slots=True)
class _Member:
    """A checked entry: `path` has no trailing slash, `size` is what the header claims (bytes)."""

    info: zipfile.ZipInfo
    path: str
    folder: bool
    size: int
    executable: bool


def inspect(data: bytes, *, language: str | None = None, entry: str | None = None) -> PackageInfo:
    """Check the package in `data` completely and find its entry point.

    The entry point is `entry` of the manifest; without a manifest `main` of a package.json if `language` is nodejs;
    else the `entry` given. All of these may lie at the root of the zip or in its one top folder.

    Args:
        data: the zip.
        language: of a package without manifest; a manifest knows better.
        entry: of a package without manifest, relative, e.g. ``app.js``.

    Raises:
        BadPackage: no zip, not safe to unpack, a bad manifest, or no such entry point.
    """
    with _opened(io.BytesIO(data), len(data)) as (archive, members):
        for member in members:
            if not member.folder:
                _copy(archive, member, lambda chunk: None)
        manifest, folder = _manifest(archive, members)
        found_language = manifest.language if manifest else language
        if found_language is None:
            raise BadPackage(f"the package has no {MANIFEST}; add one or say which language it is written in")
        found_entry = (
            _resolved(members, manifest.entry, folder) if manifest else _entry(archive, members, found_language, entry)
        )
    return PackageInfo(hashlib.sha256(data).hexdigest(), len(data), found_entry, found_language, manifest)


def unpack(source: bytes | Path, directory: Path) -> None:
    """Unpack a package, the zip itself or the path of one, into `directory`, which is created or empty.

    Files get mode 0644, or 0755 if they were executable; folders 0755.

    Raises:
        BadPackage: not safe to unpack, or broken. What was written before this was seen stays: remove `directory`.
        OSError: `directory` cannot be written, or is not empty.
    """
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    with (
        source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream,
        _opened(stream, size) as (archive, members),
    ):
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise FileExistsError(errno.ENOTEMPTY, "packages are unpacked to empty folders only", str(directory))
        for folder in sorted(_folders(members)):
            (directory / folder).mkdir()
            (directory / folder).chmod(0o755)
        for member in members:
            if not member.folder:
                with (directory / member.path).open("xb") as target:
                    os.fchmod(target.fileno(), 0o755 if member.executable else 0o644)
                    _copy(archive, member, target.write)


def pack(directory: Path) -> bytes:
    """A package with the files below `directory`: the same files always give the same bytes, on every machine.

    Hidden files and folders, `__pycache__` and empty folders are left out. Nothing is compressed: what deflate makes of
    a file differs from one build of zlib to the next, and a version's bytes must not.

    Raises:
        BadPackage: a link or special file is among them; the message names it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(_files(directory), key=lambda found: found.relative_to(directory).as_posix()):
            mode = stat.S_IFREG | (0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
            info = zipfile.ZipInfo(path.relative_to(directory).as_posix())  # dated 1980-01-01
            info.create_system = 3
            info.external_attr = mode << 16
            archive.writestr(info, path.read_bytes(), zipfile.ZIP_STORED)
    return buffer.getvalue()


# --- checks of the archive


class _Bounded(io.BufferedIOBase):
    """A view of a stream that refuses to read much at once.

    The zip reader takes the table of contents in one read of a size that the archive itself claims.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any stream. Raises `BadPackage` for more than `MAX_DIRECTORY_BYTES`."""
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise BadPackage(f"the zip's table of contents is larger than {MAX_DIRECTORY_BYTES} bytes")
        return self._stream.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of any stream."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """As of any stream."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """Yes."""
        return True


@contextmanager
def _opened(stream: IO[bytes], size: int) -> Iterator[tuple[zipfile.ZipFile, tuple[_Member, ...]]]:
    """The archive in `stream` and its checked members. Raises `BadPackage`."""
    if size > MAX_UNPACKED_BYTES:
        raise BadPackage(f"the package has {size} bytes; {MAX_UNPACKED_BYTES} are allowed")
    try:
        archive = zipfile.ZipFile(_Bounded(stream))
        members = _members(archive, size)
    except _BROKEN as error:
        raise BadPackage(f"the package is no zip that can be read: {error}") from error
    with archive:
        yield archive, members


def _members(archive: zipfile.ZipFile, packed: int) -> tuple[_Member, ...]:
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise BadPackage(f"the package has {len(infos)} entries; {MAX_ENTRIES} are allowed")
    members = tuple(_member(info) for info in infos)
    total = sum(member.size for member in members)
    if total > MAX_UNPACKED_BYTES:
        raise BadPackage(f"the package unpacks to {total} bytes; {MAX_UNPACKED_BYTES} are allowed")
    if total > max(_RATIO_FLOOR, packed * MAX_RATIO):
        raise BadPackage(f"the package unpacks to more than {MAX_RATIO} times its size, as zip bombs do")
    _refuse_overlaps(infos)
    _refuse_collisions(members)
    return members


def _member(info: zipfile.ZipInfo) -> _Member:
    name, mode = info.orig_filename, info.external_attr >> 16
    _refuse_name(name)
    if info.flag_bits & _ENCRYPTED:
        raise BadPackage(f"{name!r} is encrypted; pack it without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadPackage(f"{name!r} is compressed in a way other than deflate")
    if stat.S_IFMT(mode) not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        raise BadPackage(f"{name!r} is a link or a special file; only files and folders are allowed")
    return _Member(
        info=info,
        path=name.rstrip("/"),
        folder=info.is_dir(),
        size=0 if info.is_dir() else info.file_size,
        executable=bool(mode & 0o111),
    )


def _refuse_name(name: str) -> None:
    path = name.removesuffix("/")
    if path.startswith("/") or "\\" in path or re.match(r"[A-Za-z]:", path):
        raise BadPackage(f"{name!r} is not a relative path with forward slashes")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise BadPackage(f"{name!r} has an empty part, '.' or '..' in its path")
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        raise BadPackage(f"{name!r} has control characters in its name")
    lengths = [len(part.encode()) for part in (path, *path.split("/"))]
    if lengths[0] > MAX_PATH_BYTES or max(lengths[1:]) > MAX_NAME_BYTES:
        raise BadPackage(f"{name[:80]!r}... is longer than {MAX_PATH_BYTES} bytes, or a part than {MAX_NAME_BYTES}")


def _refuse_overlaps(infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse entries that share bytes of the archive, which is how small zips hold far more than they weigh."""
    end = 0
    for info in sorted(infos, key=lambda found: found.header_offset):
        if info.header_offset < end:
            raise BadPackage(f"{info.filename!r} overlaps another entry, as zip bombs do")
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size


def _refuse_collisions(members: Sequence[_Member]) -> None:
    kinds: dict[str, bool] = {}
    for member in members:
        if member.path in kinds:
            raise BadPackage(f"{member.path!r} is there more than once")
        kinds[member.path] = member.folder
    folders = _folders(members)
    for folder in folders:
        if not kinds.get(folder, True):
            raise BadPackage(f"{folder!r} is a file and a folder")
    _refuse_alike(kinds.keys() | folders)


def _refuse_alike(paths: Iterable[str]) -> None:
    """Refuse paths that are one on file systems that know no case, or only one spelling of an accent."""
    known: dict[str, str] = {}
    for path in sorted(paths):
        other = known.setdefault(_folded(path), path)
        if other != path:
            raise BadPackage(f"{other!r} and {path!r} differ only by case or spelling of accents; rename one of them")


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    # Imported here: a table of a megabyte that hardly any package needs.
    from unicodedata import normalize  # noqa: PLC0415

    return normalize("NFC", normalize("NFC", path).casefold())


def _folders(members: Sequence[_Member]) -> set[str]:
    """Every folder that is an entry or lies above one."""
    found = {member.path for member in members if member.folder}
    for member in members:
        parts = member.path.split("/")
        found.update("/".join(parts[:count]) for count in range(1, len(parts)))
    return found


def _copy(archive: zipfile.ZipFile, member: _Member, write: Callable[[bytes], object]) -> None:
    """Hand the bytes of a file to `write`, never more than its header claims."""
    count = 0
    try:
        with archive.open(member.info) as source:
            while chunk := source.read(_CHUNK):
                count += len(chunk)
                if count > member.size:
                    break
                write(chunk)
    except _BROKEN as error:
        raise BadPackage(f"{member.path!r} is broken: {error}") from error
    if count != member.size:
        raise BadPackage(f"{member.path!r} does not have the {member.size} bytes that the zip claims")


# --- the entry point


def _manifest(archive: zipfile.ZipFile, members: Sequence[_Member]) -> tuple[Manifest | None, str]:
    """The manifest, and the folder inside the zip in which it lies (with a trailing slash, or empty)."""
    member = _find(members, MANIFEST)
    if member is None:
        return None, ""
    content = _content(archive, member, MAX_MANIFEST_BYTES)
    try:
        return parse_manifest(content.decode()), member.path.removesuffix(MANIFEST)
    except UnicodeDecodeError as error:
        raise BadPackage(f"{member.path}: expected UTF-8 ({error})") from error


def _entry(archive: zipfile.ZipFile, members: Sequence[_Member], language: str, given: str | None) -> str:
    """The entry point of a package without manifest."""
    described = _find(members, "package.json") if language == "nodejs" else None
    main = _node_main(archive, described) if described else None
    if described and main:
        return _resolved(members, main, described.path.removesuffix("package.json"))
    if not given:
        raise BadPackage(f"the package has no {MANIFEST}; add one or name the file to start")
    found = _find(members, given.removeprefix("./"))
    if found is None:
        raise BadPackage(f"the package has no file {given!r} to start; name the entry point by its path inside the zip")
    return found.path


def _node_main(archive: zipfile.ZipFile, described: _Member) -> str | None:
    """`main` of a package.json, None if it has none."""
    try:
        body = json.loads(_content(archive, described, _RATIO_FLOOR))
        main = body.get("main")
    except (ValueError, AttributeError, RecursionError) as error:
        raise BadPackage(f"{described.path}: expected a JSON object ({error})") from error
    if main is not None and not isinstance(main, str):
        raise BadPackage(f"{described.path}: main: expected a text")
    return main or None


def _resolved(members: Sequence[_Member], name: str, folder: str) -> str:
    """The path of the file that `name`, said in a file in `folder`, means; Node's spellings included."""
    path = posixpath.normpath(folder + name)
    files = {member.path for member in members if not member.folder}
    for candidate in (path, path + ".js", path + "/index.js"):
        if candidate in files:
            return candidate
    raise BadPackage(f"the package has no file {path!r}, which it says to start")


def _find(members: Sequence[_Member], path: str) -> _Member | None:
    """The file at `path`, or at that path in the one top folder that holds everything."""
    files = {member.path: member for member in members if not member.folder}
    tops = {found.partition("/")[0] for found in files} - {"__MACOSX"}
    return files.get(path) or (files.get(f"{tops.pop()}/{path}") if len(tops) == 1 else None)


def _content(archive: zipfile.ZipFile, member: _Member, limit: int) -> bytes:
    if member.size > limit:
        raise BadPackage(f"{member.path!r} has {member.size} bytes; {limit} are allowed")
    return archive.read(member.info)


# --- files


def _files(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BadPackage(f"{path} is a link or a special file; only files and folders are allowed")
        if path.is_dir():
            yield from _files(path)
        else:
            yield path
