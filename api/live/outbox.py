"""What waits to be sent to one client: bounded, with progress that is overtaken by newer progress.

Stands where Engine.IO has a plain queue for each connection: whoever tells something puts it here and goes on, and the
connection's writer takes it from here as fast as the client reads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from queue import Empty
from threading import Condition
from typing import Any

from engineio.packet import CLOSE, MESSAGE, Packet

#: What may wait for a client before it counts as one that does not read (live API contract, section 2).
MAX_MESSAGES = 1000
MAX_BYTES = 4 * 1024 * 1024
#: Up to this part of it a long answer may fill, so that there is room for what happens meanwhile.
ANSWER_MESSAGES = MAX_MESSAGES // 2
ANSWER_BYTES = MAX_BYTES // 2
#: How long (seconds) closing waits for what is still to be sent.
JOIN_SECONDS = 2.0


class LivePacket(Packet):  # type: ignore[misc]
    """A message to a client; of several that wait with the same `key` only the newest is sent, in the first's place.

    One that is `kept` is sent in any case, and in its place: none with its key that comes later is sent before it.
    """

    def __init__(self, data: str, key: Hashable = None, *, kept: bool = False) -> None:
        super().__init__(MESSAGE, data)
        self.key = key
        self.kept = kept


class Outbox:
    """The packets that wait for one client. The methods that Engine.IO uses are those of `queue.Queue`.

    `on_full` is called once, when more waits than may: the client does not read.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[Any] = deque()
        self._keyed: dict[Hashable, int] = {}
        self._taken = 0
        self._bytes = 0
        self._unfinished = 0
        self._full = False
        self.on_full: Callable[[], None] | None = None

    def put(self, packet: Packet | None) -> None:
        """Add a packet, or None for the end. Never waits; drops what comes after the client was given up."""
        with self._changed:
            if self._full and packet is not None and packet.packet_type != CLOSE:
                return
            if not self._replaced(packet):
                self._append(packet)
            full = not self._full and (len(self._waiting) > MAX_MESSAGES or self._bytes > MAX_BYTES)
            self._full |= full
            self._changed.notify_all()
        if full and self.on_full is not None:
            self.on_full()

    def end_with(self, packet: Packet) -> None:
        """Forget what waits and send only this, if the client ever reads again."""
        with self._changed:
            self._full = True
            self._unfinished -= len(self._waiting)
            self._waiting.clear()
            self._keyed.clear()
            self._bytes = 0
            self._append(packet)
            self._changed.notify_all()

    def wait_for_room(self, seconds: float) -> bool:
        """Whether there is room for a further part of a long answer, within `seconds`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._full or (len(self._waiting) < ANSWER_MESSAGES and self._bytes < ANSWER_BYTES), seconds
            )

    def get(self, block: bool = True, timeout: float | None = None) -> Packet | None:
        """The next packet. Raises `queue.Empty` if there is none (within `timeout` seconds)."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._waiting), timeout if block else 0):
                raise Empty
            packet = self._waiting.popleft()
            self._bytes -= _size(packet)
            if isinstance(packet, LivePacket) and self._keyed.get(packet.key) == self._taken:
                del self._keyed[packet.key]
            self._taken += 1
            self._changed.notify_all()
            return packet

    def empty(self) -> bool:
        """Whether nothing waits."""
        with self._changed:
            return not self._waiting

    def task_done(self) -> None:
        """A packet that was taken has been sent."""
        with self._changed:
            self._unfinished -= 1
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until all is sent, at most `JOIN_SECONDS`: a client that does not read holds nobody up."""
        until = time.monotonic() + JOIN_SECONDS
        with self._changed:
            self._changed.wait_for(lambda: self._unfinished <= 0, until - time.monotonic())

    def _append(self, packet: Packet | None) -> None:
        if isinstance(packet, LivePacket) and packet.kept:
            self._keyed.pop(packet.key, None)
        elif isinstance(packet, LivePacket) and packet.key is not None:
            self._keyed[packet.key] = self._taken + len(self._waiting)
        self._waiting.append(packet)
        self._bytes += _size(packet)
        self._unfinished += 1

    def _replaced(self, packet: Packet | None) -> bool:
        """Whether the packet took the place of an older one with its key."""
        place = self._keyed.get(packet.key) if isinstance(packet, LivePacket) and not packet.kept else None
        if place is None:
            return False
        at = place - self._taken
        self._bytes += _size(packet) - _size(self._waiting[at])
        self._waiting[at] = packet
        return True


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str | bytes) else 0
