"""How a program of each language is started: its command, and what would keep an executable from starting.

Starts nothing itself: that is for `worker_agent.process`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from workties.errors import BadPackage

#: Where Linux lists formats of programs that it does not run itself.
BINARY_FORMATS = Path("/proc/sys/fs/binfmt_misc")
_MEBIBYTE = 1024 * 1024
_HEADER_BYTES = 4096
#: Names of processors by their number in a program's header, and which of them each kind of machine runs.
_PROCESSORS = {3: "x86", 40: "32-bit ARM", 62: "x86_64", 183: "aarch64", 243: "RISC-V"}
_RUNS = {"x86_64": (62, 3), "aarch64": (183, 40), "armv6l": (40,), "armv7l": (40,), "riscv64": (243,)}


def command(
    language: str, entry: str, package: Path, runtimes: Mapping[str, str], memory: int = 1024 * _MEBIBYTE
) -> tuple[str, ...]:
    """The command for the entry point `entry` of the package unpacked at `package`.

    Args:
        runtimes: program that runs a language, by language.
        memory: what the step may use, bytes. Node and Java would size their heap by the machine, run into the limit
            and end without a word about memory, so they get half of it; the rest is for code, threads and buffers.
    """
    path, heap = package / entry, max(16, memory // _MEBIBYTE // 2)
    match language:
        case "python":
            return (runtimes[language], "-P", "-m", "workties.launch", str(path))
        case "nodejs":
            return (runtimes[language], f"--max-old-space-size={heap}", str(path))
        case "java":
            return (runtimes[language], "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Xmx{heap}m", *_java_program(path))
        case "executable":
            return (str(path),)
        case _:
            return (runtimes[language], str(path))


def make_executable(path: Path, entry: str, machine: str, formats: Path = BINARY_FORMATS) -> None:
    """Let the file at `path` be started, also if it comes from a zip that knows no modes.

    Args:
        machine: what `platform.machine` says of this board.
        formats: where the kernel lists who runs programs for other processors.

    Raises:
        BadPackage: it is nothing that this board can start; the message names `entry` and what to do.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if header.startswith(b"#!"):
        _check_script(header.partition(b"\n")[0].decode("utf-8", "replace"), entry)
    elif header.startswith(b"\x7fELF"):
        _check_binary(header, entry, machine, formats)
    else:
        raise BadPackage(
            f"The entry point '{entry}' is no program: begin a script with '#!' and its interpreter, e.g. #!/bin/sh"
        )
    path.chmod(path.stat().st_mode | 0o111)


def _java_program(path: Path) -> tuple[str, ...]:
    """Arguments for a jar, a class without package, or one file of source (which needs a JDK)."""
    match path.suffix:
        case ".jar":
            return ("-jar", str(path))
        case ".class":
            return ("-cp", str(path.parent), path.stem)
        case _:
            return (str(path),)


def _check_script(first_line: str, entry: str) -> None:
    if first_line.endswith("\r"):
        raise BadPackage(
            f"The entry point '{entry}' has the line ends of Windows (CR LF), so that no interpreter is found. "
            "Save it with those of Unix (LF)"
        )
    words = first_line.removeprefix("#!").split()
    if not words:
        raise BadPackage(f"The entry point '{entry}' names no interpreter after '#!', as in #!/bin/sh")
    if words[0].startswith("/") and not Path(words[0]).exists():
        raise BadPackage(
            f"The entry point '{entry}' needs the interpreter {words[0]}, which this board does not have. "
            "Install it there, or name another one in the first line"
        )


def _check_binary(header: bytes, entry: str, machine: str, formats: Path) -> None:
    found = int.from_bytes(header[18:20], "little")
    if found not in _RUNS.get(machine, (found,)) and not any(formats.glob("qemu-*")):
        built = _PROCESSORS.get(found, f"another processor (number {found})")
        raise BadPackage(f"The entry point '{entry}' is built for {built}; this board is {machine}. Build it for that")
    loader = re.search(rb"/lib[\w./-]*/ld[\w.-]+", header)
    if loader and not Path(loader.group().decode()).exists():
        raise BadPackage(
            f"The entry point '{entry}' needs the loader {loader.group().decode()}, which this board does not have. "
            "Link it statically, or install the libraries that it was built with"
        )
