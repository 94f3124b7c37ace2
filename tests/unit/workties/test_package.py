"""The package format: what is refused, where the entry point is found, and that packing can be repeated."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.workties.archives import entry, overlapping, zipped
from workties import package
from workties.errors import BadPackage

MANIFEST = b'name = "a"\nversion = "1"\nlanguage = "python"\nentry = "main.py"\n'


def found(data: bytes, *, language: str = "nodejs", given: str | None = "app.js") -> str:
    return package.inspect(data, language=language, entry=given).entry


def refused(data: bytes, tmp_path: Path, message: str) -> None:
    """Upload and board refuse alike, and nothing is written outside the folder of the package."""
    with pytest.raises(BadPackage, match=message):
        package.inspect(data, language="nodejs", entry="app.js")
    with pytest.raises(BadPackage, match=message):
        package.unpack(data, tmp_path / "deep" / "target")
    assert {path.name for path in tmp_path.iterdir()} <= {"deep"}


# --- attacks


@pytest.mark.parametrize(
    "name",
    [
        "../evil.js",
        "a/../../evil.js",
        "/etc/evil",
        "//evil",
        "a//b",
        "./evil",
        "a/.",
        "..\\evil.js",
        "C:evil.js",
        "c:/evil.js",
        "a\nb",
        "a\x7fb",
        "x" * 256,
        "a/" * 600 + "b",
    ],
)
def test_a_name_that_could_leave_its_folder_is_refused_and_named(name: str, tmp_path: Path) -> None:
    shown = repr(name[:40])[1:-1].replace("\\", "\\\\")
    refused(zipped(("app.js", b""), (name, b"evil")), tmp_path, shown.replace(".", r"\."))


def test_a_name_with_a_hidden_end_is_refused(tmp_path: Path) -> None:
    data = zipped(("app.js", b""), ("ab.js-evil", b"")).replace(b"ab.js-evil", b"ab.js\0evil")
    refused(data, tmp_path, "control characters")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_and_special_files_are_refused(kind: int, tmp_path: Path) -> None:
    data = zipped(("app.js", b""), (entry("link", kind | 0o777), b"/etc/passwd"))
    refused(data, tmp_path, "'link' is a link or a special file")


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    data = zipped((entry("d/", stat.S_IFLNK | 0o777), b"/etc"), ("d/app.js", b""))
    refused(data, tmp_path, "'d/' is a link or a special file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    refused(zipped(("app.js", b"good"), ("app.js", b"evil")), tmp_path, "'app.js' is there more than once")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a/b"), ("a", "a/b/c")])
def test_a_file_that_is_also_a_folder_is_refused(names: tuple[str, str], tmp_path: Path) -> None:
    refused(zipped(*((name, b"") for name in names)), tmp_path, "is a file and a folder")


@pytest.mark.parametrize(
    "names",
    [("app.js", "APP.js"), ("lib/a", "Lib/b"), ("\u00e9.js", "e\u0301.js"), ("\u00c9/a", "\u00e9/b"), ("a", "A/b")],
)
def test_names_that_are_one_on_some_file_systems_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    refused(zipped(*((name, b"") for name in names)), tmp_path, "differ only by case or spelling of accents")


@pytest.mark.parametrize("quoted", [True, False])
def test_entries_that_share_bytes_are_refused(tmp_path: Path, quoted: bool) -> None:
    refused(overlapping(quoted=quoted), tmp_path, "overlaps another entry")


def test_an_entry_with_another_name_in_its_own_header_is_refused(tmp_path: Path) -> None:
    data = zipped(("app.js", b"good")).replace(b"app.js", b"ape.js", 1)
    refused(data, tmp_path, "'app.js' is broken: File name in directory")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(("app.js", b"secret")))
    flags = data.index(b"PK\x01\x02") + 8
    data[flags] |= 1
    refused(bytes(data), tmp_path, "'app.js' is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_cannot_be_bounded_is_refused(method: int, tmp_path: Path) -> None:
    data = zipped((entry("app.js", stat.S_IFREG | 0o644, method=method), b"x" * 1000))
    refused(data, tmp_path, "'app.js' is compressed in a way other than deflate")


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    refused(zipped(("app.js", bytes(4 * 1024 * 1024))), tmp_path, "zip bombs")


def test_more_than_is_allowed_to_unpack_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(("app.js", b"x")))
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, package.MAX_UNPACKED_BYTES + 1)
    refused(bytes(data), tmp_path, "unpacks to")


def lying(claimed: int, content: bytes, *, checksum: int | None = None) -> bytes:
    """A zip whose headers claim `claimed` bytes for its file."""
    data = bytearray(zipped(("app.js", content)))
    central = data.index(b"PK\x01\x02")
    for size, check in ((22, 14), (central + 24, central + 16)):
        struct.pack_into("<I", data, size, claimed)
        if checksum is not None:
            struct.pack_into("<I", data, check, checksum)
    return bytes(data)


def test_a_bomb_whose_headers_claim_little_is_refused(tmp_path: Path) -> None:
    refused(lying(10, bytes(32 * 1024 * 1024)), tmp_path, "'app.js' is broken: Bad CRC-32")
    assert (tmp_path / "deep" / "target" / "app.js").stat().st_size <= 10


def test_a_bomb_whose_headers_and_checksum_lie_writes_no_more_than_claimed(tmp_path: Path) -> None:
    data = lying(10, bytes(32 * 1024 * 1024), checksum=zlib.crc32(bytes(10)))
    with contextlib.suppress(BadPackage):
        package.unpack(data, tmp_path / "target")
    assert (tmp_path / "target" / "app.js").stat().st_size <= 10


def test_headers_that_claim_too_much_are_refused(tmp_path: Path) -> None:
    refused(lying(100, b"short"), tmp_path, "'app.js' does not have the 100 bytes that the zip claims")


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    data = zipped(*((f"{number}.js", b"") for number in range(package.MAX_ENTRIES + 1)))
    refused(data, tmp_path, "has 2001 entries; 2000 are allowed")


def test_a_huge_table_of_contents_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    central = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"x"
    table = central * (package.MAX_DIRECTORY_BYTES // len(central) + 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(table), 0, 0)
    refused(table + end, tmp_path, "table of contents is larger than")


def test_a_package_too_large_to_look_at_is_refused(tmp_path: Path) -> None:
    refused(bytes(package.MAX_UNPACKED_BYTES + 1), tmp_path, "are allowed")


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"no zip at all", zipped(("app.js", b"x" * 99))[:-30]],
    ids=["empty", "beginning", "text", "without end"],
)
def test_what_is_no_zip_is_refused(data: bytes, tmp_path: Path) -> None:
    refused(data, tmp_path, "no zip that can be read")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_package_is_read_or_refused_but_never_crashes(damages: list[tuple[int, int]]) -> None:
    data = bytearray(zipped(("workty.toml", MANIFEST), ("main.py", b"print()"), ("d/a.txt", b"a" * 50)))
    for position, value in damages:
        data[position % len(data)] = value
    with contextlib.suppress(BadPackage):
        package.inspect(bytes(data))


# --- unpacking


def test_a_package_is_unpacked_with_plain_modes(tmp_path: Path) -> None:
    data = zipped(
        (entry("bin/run", stat.S_IFREG | 0o4777), b"#!/bin/sh\n"),
        (entry("main.py", stat.S_IFREG | 0o600), b"print()"),
        (entry("empty/", stat.S_IFDIR | 0o700), b""),
    )
    umask = os.umask(0o077)
    try:
        package.unpack(data, tmp_path / "target")
    finally:
        os.umask(umask)
    modes = {
        path.relative_to(tmp_path / "target").as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "target").rglob("*")
    }
    assert modes == {"bin": 0o755, "bin/run": 0o755, "main.py": 0o644, "empty": 0o755}
    assert (tmp_path / "target" / "main.py").read_bytes() == b"print()"


def test_a_package_is_unpacked_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(zipped(("app.js", b"//")))
    package.unpack(tmp_path / "p.zip", tmp_path / "target")
    assert (tmp_path / "target" / "app.js").read_bytes() == b"//"


def test_a_package_is_not_unpacked_over_other_files(tmp_path: Path) -> None:
    (tmp_path / "app.js").symlink_to("/etc/passwd")
    with pytest.raises(FileExistsError, match="empty folders only"):
        package.unpack(zipped(("app.js", b"//")), tmp_path)


# --- the entry point


def test_the_manifest_says_what_to_start() -> None:
    info = package.inspect(zipped(("workty.toml", MANIFEST), ("main.py", b"")), language="nodejs", entry="app.js")
    assert (info.entry, info.language) == ("main.py", "python")
    assert info.manifest is not None
    assert info.manifest.name == "a"


def test_digest_and_size_are_those_of_the_zip() -> None:
    data = zipped(("app.js", b""))
    info = package.inspect(data, language="nodejs", entry="app.js")
    assert info.size == len(data)
    assert len(info.sha256) == 64
    assert info.manifest is None


def test_everything_may_lie_in_one_top_folder() -> None:
    assert found(zipped(("top/workty.toml", MANIFEST), ("top/main.py", b""))) == "top/main.py"
    assert found(zipped(("top/package.json", b'{"main": "lib/a.js"}'), ("top/lib/a.js", b""))) == "top/lib/a.js"
    assert found(zipped(("top/app.js", b""), ("__MACOSX/top/._app.js", b""))) == "top/app.js"


@pytest.mark.parametrize("main", ["lib/start.js", "./lib/start.js", "lib/start", "lib/../lib/start.js"])
def test_package_json_says_what_node_starts(main: str) -> None:
    data = zipped(("package.json", b'{"main": "%s"}' % main.encode()), ("lib/start.js", b""), ("app.js", b""))
    assert found(data) == "lib/start.js"


def test_package_json_may_name_a_folder() -> None:
    assert found(zipped(("package.json", b'{"main": "lib"}'), ("lib/index.js", b""))) == "lib/index.js"


def test_without_main_the_entry_given_is_started() -> None:
    assert found(zipped(("package.json", b"{}"), ("app.js", b""))) == "app.js"
    assert found(zipped(("app.js", b"")), given="./app.js") == "app.js"


def test_package_json_is_read_for_node_only() -> None:
    data = zipped(("package.json", b'{"main": "app.js"}'), ("app.js", b""), ("main.py", b""))
    assert found(data, language="python", given="main.py") == "main.py"


def test_a_folder_beside_other_files_is_not_the_top_folder() -> None:
    data = zipped(("lib/package.json", b'{"main": "other.js"}'), ("lib/other.js", b""), ("app.js", b""))
    assert found(data) == "app.js"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("workty.toml", MANIFEST)], "no file 'main.py'"),
        ([("workty.toml", b"\xff"), ("main.py", b"")], "workty.toml: expected UTF-8"),
        ([("workty.toml", b"name = 1"), ("main.py", b"")], "workty.toml: name: "),
        ([("workty.toml", b"#" * 70_000), ("main.py", b"")], "'workty.toml' has 70000 bytes"),
        ([("package.json", b'{"main": "a.js"}'), ("app.js", b"")], "no file 'a.js'"),
        ([("package.json", b'{"main": "../app.js"}'), ("app.js", b"")], r"no file '\.\./app.js'"),
        ([("package.json", b'{"main": 1}'), ("app.js", b"")], "package.json: main: expected a text"),
        ([("package.json", b"{"), ("app.js", b"")], "package.json: expected a JSON object"),
        ([("package.json", b"[]"), ("app.js", b"")], "package.json: expected a JSON object"),
        ([("other.js", b"")], "no file 'app.js' to start"),
        ([("app.js/", b"")], "no file 'app.js' to start"),
        ([], "no file 'app.js' to start"),
    ],
)
def test_a_package_that_cannot_be_started_is_refused(entries: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(BadPackage, match=message):
        found(zipped(*entries))


def test_without_manifest_language_and_entry_are_needed() -> None:
    with pytest.raises(BadPackage, match="say which language"):
        package.inspect(zipped(("app.js", b"")))
    with pytest.raises(BadPackage, match="name the file to start"):
        package.inspect(zipped(("app.js", b"")), language="nodejs")


# --- packing


def files(directory: Path) -> Path:
    (directory / "lib" / "__pycache__").mkdir(parents=True)
    (directory / "lib" / "__pycache__" / "a.pyc").write_bytes(b"cache")
    (directory / "lib" / "a.py").write_bytes(b"a = 1")
    (directory / ".env").write_bytes(b"secret")
    (directory / "workty.toml").write_bytes(MANIFEST)
    (directory / "main.py").write_bytes(b"print()")
    (directory / "main.py").chmod(0o700)
    return directory


def test_the_same_files_always_give_the_same_package(tmp_path: Path) -> None:
    first = package.pack(files(tmp_path / "one"))
    second = files(tmp_path / "two")
    (second / "lib" / "a.py").chmod(0o600)
    os.utime(second / "main.py", (1, 1))
    assert package.pack(second) == first


def test_a_package_has_the_same_bytes_on_every_machine(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        found = package.pack(files(tmp_path))
    finally:
        os.umask(umask)
    assert package.inspect(found).sha256 == "1df90e2c62d8504de2aaafa0760fc66a0a36a3c4f012d77b1383410251129662"
    with zipfile.ZipFile(io.BytesIO(found)) as archive:
        described = {
            (info.compress_type, info.date_time, info.create_system, info.extra) for info in archive.infolist()
        }
    assert described == {(zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 3, b"")}


def test_files_are_packed_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number * 37 % 50}.txt").touch()
    with zipfile.ZipFile(io.BytesIO(package.pack(tmp_path))) as archive:
        assert archive.namelist() == sorted(f"{number}.txt" for number in range(50))


def test_a_package_holds_the_files_but_nothing_hidden(tmp_path: Path) -> None:
    data = package.pack(files(tmp_path / "one"))
    assert package.inspect(data).entry == "main.py"
    package.unpack(data, tmp_path / "target")
    unpacked = {path.relative_to(tmp_path / "target").as_posix() for path in (tmp_path / "target").rglob("*")}
    assert unpacked == {"lib", "lib/a.py", "main.py", "workty.toml"}
    assert stat.S_IMODE((tmp_path / "target" / "main.py").stat().st_mode) == 0o755


def test_links_are_not_packed(tmp_path: Path) -> None:
    (tmp_path / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(BadPackage, match="passwords is a link"):
        package.pack(tmp_path)
