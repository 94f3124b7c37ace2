"""Turns what a program writes into lines, in bounded memory. No descriptors here."""

from __future__ import annotations

from collections.abc import Iterator


class LineSplitter:
    r"""Cuts a stream of bytes into lines, without their newline.

    Args:
        limit: longest line, bytes.
        cut: a longer line is cut there and its rest dropped; else `overlong` becomes true and nothing more comes.
    """

    def __init__(self, limit: int, *, cut: bool) -> None:
        self.overlong = False
        self._limit, self._cut = limit, cut
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Lines that `data` completes."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            if self.overlong:
                return
            yield bytes(self._rest)
            self._rest.clear()
        self._add(rest)

    def end(self) -> Iterator[bytes]:
        """The last line, if it has no newline."""
        if self._rest and not self.overlong:
            yield bytes(self._rest)
            self._rest.clear()

    def _add(self, part: bytes) -> None:
        room = self._limit - len(self._rest)
        self.overlong = self.overlong or (len(part) > room and not self._cut)
        self._rest += part[:room]
