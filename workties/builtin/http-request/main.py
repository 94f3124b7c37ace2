"""Sends one request over HTTP, again if need be, and keeps the answer."""

import contextlib
import json
import os
import time
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from urllib.request import Request

from workties import StepFailed, Workty
from workties.errors import BadMessage
from workties.plain import check
from workties.sdk import Paused
from workties.web import NoAnswer, ask, checked_headers, checked_url, in_words, read_body, shown

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: What a server may get twice without doing more than once.
REPEATABLE = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
#: Most of a body and of all headers that the output keeps, bytes.
KEPT_BODY, KEPT_HEADERS = 64 * 1024, 16 * 1024
#: Largest body that is saved to a file, bytes.
SAVED = 256 * 1024 * 1024
#: Longest time between two tries, seconds.
LONGEST_REST = 30.0


class HttpRequest(Workty):
    """A pause waits for the answer. A request that may not arrive twice is not sent again after an interruption."""

    states = ("preparing", "requesting", "finishing")

    def on_enter_preparing(self) -> None:
        properties = self.properties
        expect = properties["expect"]
        if not isinstance(expect, list) or not all(type(status) is int for status in expect):
            raise StepFailed(f"Property 'expect': expected a list of statuses, e.g. [200, 404], got {expect!r}")
        if properties["timeout"] <= 0 or properties["retries"] < 0:
            raise StepFailed("Property 'timeout' must be more than 0 seconds, 'retries' 0 or more")
        build_request(properties)

    def on_enter_requesting(self) -> None:
        request = build_request(self.properties)
        self._what = f"{request.method} {shown(request.full_url)}"
        repeatable = request.method in REPEATABLE or self.properties["repeatable"]
        if not repeatable:
            self._refuse_to_repeat()
        for left in range(self.properties["retries"], -1, -1):
            self.progress(0, self._what)
            try:
                self._take(request)
                return
            except NoAnswer as error:
                if not left or not (repeatable or error.never_sent):
                    raise StepFailed(f"{self._what}: {error}") from error
                rest = min(2.0 ** (self.properties["retries"] - left), LONGEST_REST)
                self.log(f"{self._what}: {error}; tried again in {rest:g} s")
                self.wait(rest)

    def on_enter_finishing(self) -> None:
        self.progress(1, f"status {self.output['status']}")

    def _take(self, request: Request) -> None:
        """Send it and put the answer into the output. Raises `NoAnswer` if it might be better to try again."""
        until = time.monotonic() + self.properties["timeout"]
        with ask(request, self.properties["timeout"]) as answer:
            if not self._is_expected(answer.status):
                self._refuse(answer, until)
            self.output.update(status=answer.status, headers=kept_headers(answer.headers))
            if self.properties["save_as"]:
                self.output.update(save(answer, Path(self.properties["save_as"]), until))
            else:
                self.output.update(kept_body(answer, until))

    def _is_expected(self, status: int) -> bool:
        expect = self.properties["expect"]
        return status in expect if expect else 200 <= status <= 299

    def _refuse(self, answer: HTTPResponse, until: float) -> None:
        words = kept_body(answer, until)["body"][:200]
        problem = f"the server answered with status {answer.status}: {words}".rstrip(": ")
        if answer.status >= 500:
            raise NoAnswer(problem)
        raise StepFailed(f"{self._what}: {problem}")

    def _refuse_to_repeat(self) -> None:
        """Remember that the request is sent now; fail if an earlier attempt did."""
        if self.memory.get("begun"):
            raise StepFailed(
                f"{self._what}: the board stopped before there was an answer, so nobody knows whether the request "
                "arrived. With the property 'repeatable' it is sent again"
            )
        self.memory["begun"] = True
        try:
            self.checkpoint()
        except Paused:  # it has not been sent yet
            del self.memory["begun"]
            self.checkpoint()
        self.await_stored()


def build_request(properties: dict) -> Request:
    """The request that the properties describe. Raises `StepFailed` if they describe none."""
    method = properties["method"].upper()
    if method not in METHODS:
        raise StepFailed(f"Property 'method': expected one of {', '.join(METHODS)}, got {properties['method']!r}")
    headers, body = checked_headers(properties["headers"]), properties["body"]
    if not isinstance(body, str):
        body = json.dumps(body)
        headers = {"Content-Type": "application/json", **headers}
    elif body:
        headers = {"Content-Type": "text/plain; charset=utf-8", **headers}
    # Names as urllib spells them, so that the given one of two wins.
    headers = {name.capitalize(): value for name, value in headers.items()}
    return Request(checked_url(properties["url"]), body.encode() or None, headers, method=method)  # noqa: S310 (checked)


def read(answer: HTTPResponse, most: int, until: float) -> bytes:
    """The body, or more than `most` bytes of it."""
    found = b""
    for data in read_body(answer, until):
        found += data
        if len(found) > most:
            break
    return found


def kept_headers(headers: HTTPMessage) -> dict[str, str]:
    """The first headers of an answer by name in lower case."""
    kept: dict[str, str] = {}
    for name in dict.fromkeys(name.lower() for name in headers):
        kept[name] = ", ".join(str(value) for value in headers.get_all(name, []))
        if len(json.dumps(kept)) > KEPT_HEADERS:
            del kept[name]
    return kept


def kept_body(answer: HTTPResponse, until: float) -> dict:
    """The body as text, whether it had to be cut, and what it says if it is JSON."""
    data = read(answer, KEPT_BODY, until)
    try:
        whole = data.decode(answer.headers.get_content_charset("utf-8"), "replace")
    except LookupError:
        whole = data.decode("utf-8", "replace")
    text = cut(whole if len(data) <= KEPT_BODY else data[:KEPT_BODY].decode("utf-8", "ignore"))
    kept = {"body": text, "cut": text != whole}
    if not kept["cut"] and "json" in answer.headers.get_content_type():
        with contextlib.suppress(ValueError, RecursionError, BadMessage):
            value = json.loads(text)
            check([value], "json", limit=KEPT_BODY)
            kept["json"] = value
    return kept


def cut(text: str) -> str:
    """As much of the text as takes `KEPT_BODY` bytes in JSON, where one character may take six."""
    while (size := len(json.dumps(text))) > KEPT_BODY:
        text = text[: len(text) * KEPT_BODY // size]
    return text


def save(answer: HTTPResponse, path: Path, until: float) -> dict:
    """Write the body to a file, which appears under its name when it is complete."""
    part, size = path.with_name(f"{path.name}.part"), 0
    try:
        with part.open("wb") as file:
            for data in read_body(answer, until):
                size += file.write(data)
                if size > SAVED:
                    raise StepFailed(f"The answer has more than {SAVED} bytes. The workty download-file takes them")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StepFailed(f"{path} cannot be written: {in_words(error)}") from error
    finally:
        part.unlink(missing_ok=True)
    return {"path": str(path.absolute()), "size": size}
