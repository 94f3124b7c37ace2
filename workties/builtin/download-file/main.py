"""Downloads a file into NAME.part, checks it, and renames it: nobody ever sees half of it under its name."""

import os
import re
import time
from http.client import HTTPResponse
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit
from urllib.request import Request

from part import Part, digest, path_of_part, publish

from workties import StepFailed, Workty
from workties.web import NoAnswer, ask, checked_headers, checked_url, in_words, read_body, shown

#: Time between two reports of progress, and between two checkpoints, seconds.
TICK, CHECKPOINT = 0.2, 2.0
#: Share of the progress that is for downloading; the rest is for verifying.
DOWNLOADING = 0.9
#: Longest time between two tries, seconds.
LONGEST_REST = 60.0
#: Statuses of servers that may answer better in a moment.
BUSY = (408, 429, 500, 502, 503, 504)


class DownloadFile(Workty):
    """Remembers how many bytes are safe on the disk and which version of the file (ETag or date) they belong to.

    What lies on the disk without that memory is not trusted: another attempt on another board starts again.
    """

    states = ("preparing", "downloading", "verifying", "finishing")
    transitions: ClassVar = (
        {"trigger": "is_there", "source": "preparing", "dest": "finishing"},
        {"trigger": "start_again", "source": ["verifying", "finishing"], "dest": "downloading"},
    )

    def on_enter_preparing(self) -> str | None:
        properties = self.properties
        checked_url(properties["url"])
        checked_headers(properties["headers"])
        if not re.fullmatch(r"(?i)([0-9a-f]{64})?", properties["sha256"]):
            raise StepFailed(f"Property 'sha256': expected 64 hexadecimal digits, got {properties['sha256']!r}")
        if not re.fullmatch(r"0?[0-7]{3}", properties["mode"]):
            raise StepFailed(f"Property 'mode': expected three octal digits, e.g. 0644, got {properties['mode']!r}")
        if properties["timeout"] <= 0 or properties["retries"] < 0:
            raise StepFailed("Property 'timeout' must be more than 0 seconds, 'retries' 0 or more")
        target = self._target()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StepFailed(f"{target.parent} cannot be made: {in_words(error)}") from error
        self._forget()
        wanted = properties["sha256"].lower()
        if wanted and target.is_file() and digest(target, lambda _: self.wait(0)) == wanted:
            self.memory.update(sha256=wanted)
            return "is_there"
        return None

    def on_enter_downloading(self) -> None:
        failures, before = 0, self.memory["seconds"]
        self._began = time.monotonic() - before
        with Part(self._target()) as part:
            part.shorten(self.memory["done"])
            while True:
                begin = part.size
                try:
                    self._fetch(part)
                    break
                except NoAnswer as error:
                    failures = 0 if part.size > begin else failures + 1
                    if failures > self.properties["retries"]:
                        raise StepFailed(f"{self._what}: {error}, after {part.size} bytes") from error
                    rest = min(2.0**failures, LONGEST_REST)
                    self.log(f"{self._what}: {error}, after {part.size} bytes; tried again in {rest:g} s")
                    self._save(part)
                    self.wait(rest)
            self.memory["size"] = part.size
            self._save(part)

    def on_enter_verifying(self) -> str | None:
        part, size, wanted = path_of_part(self._target()), self.memory["size"], self.properties["sha256"].lower()
        if not part.is_file() or part.stat().st_size != size:
            return self._start_again()
        found = self.memory["sha256"] = digest(part, self._verified)
        if wanted and found != wanted:
            part.unlink()
            raise StepFailed(f"{self._what}: the file has SHA-256 {found}, expected {wanted}. Nothing was kept of it")
        return None

    def on_enter_finishing(self) -> str | None:
        target, part = self._target(), path_of_part(self._target())
        if self.memory["size"] is not None and part.exists():
            publish(part, target, int(self.properties["mode"], 8))
        elif not target.is_file() or digest(target, lambda _: None) != self.memory["sha256"]:
            return self._start_again()
        size = target.stat().st_size
        self.output.update(path=str(target), size=size, sha256=self.memory["sha256"])
        self.output["seconds"] = round(self.memory["seconds"], 3)
        self.progress(1, f"{megabytes(size)} MB")
        return None

    def _fetch(self, part: Part) -> None:
        """Get what is missing. Raises `NoAnswer` if some of it did not come."""
        headers, memory = checked_headers(self.properties["headers"]), self.memory
        if part.size == memory["size"]:
            return
        if part.size and memory["version"]:
            headers |= {"Range": f"bytes={part.size}-", "If-Range": memory["version"]}
        request = Request(self.properties["url"], headers=headers)  # noqa: S310  (checked in the first state)
        with ask(request, self.properties["timeout"]) as answer:
            self._refuse(answer, part)
            if answer.status == 206 and not continues(answer, part.size, memory["version"]):
                self._distrust(part)
                raise NoAnswer("the server sent another part of the file than asked for")
            if answer.status == 200 and part.size:
                self._distrust(part)
                self.log(f"{self._what}: the file changed, or cannot be had in parts; begun again")
            memory.update(version=version(answer), size=None)
            if answer.length is not None:
                memory["size"] = part.size + answer.length
                part.refuse_without_room(answer.length)
            for data in read_body(answer):
                part.append(data)
                self._downloaded(part.size)
                if time.monotonic() - self._saved >= CHECKPOINT:
                    self._save(part)

    def _refuse(self, answer: HTTPResponse, part: Part) -> None:
        if answer.status == 416:
            self._distrust(part)
            raise NoAnswer("the server does not have the rest of the file any more")
        if answer.status in BUSY:
            raise NoAnswer(f"the server answered with status {answer.status}")
        if answer.status not in (200, 206):
            raise StepFailed(f"{self._what}: the server answered with status {answer.status}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise StepFailed(f"{self._what}: the server sends the file in another encoding than asked for")

    def _distrust(self, part: Part) -> None:
        """Throw away what there is; also a next attempt begins with nothing."""
        part.shorten(0)
        self.memory.update(version="", size=None)
        self._save(part)

    def _save(self, part: Part) -> None:
        """A checkpoint, after which a power cut costs nothing of what is there."""
        part.sync()
        self._saved = time.monotonic()
        self.memory.update(done=part.size, seconds=self._saved - self._began)
        self.checkpoint()

    def _start_again(self) -> str:
        self.log("what an earlier attempt downloaded is not here; begun again")
        self._forget()
        return "start_again"

    def _forget(self) -> None:
        self.memory.update(done=0, version="", size=None, seconds=0.0, sha256="")

    def _downloaded(self, done: int) -> None:
        now, size = time.monotonic(), self.memory["size"]
        if now - self._told >= TICK:
            self._told = now
            of = f" of {megabytes(size)}" if size else ""
            self.progress(DOWNLOADING * done / size if size else 0, f"downloaded {megabytes(done)}{of} MB")

    def _verified(self, done: int) -> None:
        now, size = time.monotonic(), self.memory["size"]
        if now - self._told >= TICK:
            self._told = now
            self.progress(DOWNLOADING + (1 - DOWNLOADING) * done / size, f"verified {megabytes(done)} MB")
            self.wait(0)

    _told = _saved = _began = 0.0

    @property
    def _what(self) -> str:
        return shown(self.properties["url"])

    def _target(self) -> Path:
        """The file that it becomes."""
        wanted = self.properties["path"]
        path = Path(os.environ.get("HOME", ""), wanted).absolute()
        if not wanted.endswith("/") and not path.is_dir():
            return path
        name = unquote(urlsplit(self.properties["url"]).path.rpartition("/")[2])
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise StepFailed(
                f"{self._what}: the address names no file. Set the property 'path' to a file, not a folder"
            )
        return path / name


def continues(answer: HTTPResponse, size: int, wanted: str) -> bool:
    """Whether the answer is what comes after the first `size` bytes of this version of the file."""
    begins_there = answer.headers.get("Content-Range", "").startswith(f"bytes {size}-")
    return begins_there and version(answer) in ("", wanted)


def version(answer: HTTPResponse) -> str:
    """What names this version of the file, for a server that can send it in parts; else empty."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"
