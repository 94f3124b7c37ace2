"""TCP links that tests disturb: each passes bytes on between a port of its own and a server, until told otherwise.

All links of a `Proxy` live in one thread. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

#: Chunks of one direction that may be under way; who sends faster has to wait.
UNDER_WAY = 64
CHUNK_BYTES = 65536


class Proxy:
    """A thread that serves links. Use as a context manager; its end resets every connection."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.links: list[Link] = []

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for link in self.links:
            link.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def link(self, name: str, port: int) -> Link:
        """A new link to a server on `port` of 127.0.0.1, which need not listen yet."""
        link = Link(self._loop, name, port)
        self.links.append(link)
        return link


class Link:
    """One way to one server. May be called from any thread; every call has taken effect when it returns.

    Attributes:
        name: says in reports what it connects, e.g. `api-2 to the broker`.
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, target: int) -> None:
        self.name = name
        self.delayed_seconds = 0.0
        self.swallows_new = False
        self._loop = loop
        self._target = target
        self._refuses = False
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._server = self._call(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def delay(self, seconds: float) -> None:
        """From now on everything arrives `seconds` later, in both directions."""

        async def change() -> None:
            self.delayed_seconds = seconds

        self._call(change())

    def cut(self, *, refuse: bool = False) -> None:
        """Reset all connections now, both sides are told. With `refuse` new ones are reset as well, until `heal`."""

        async def change() -> None:
            self._refuses = refuse
            await self._reset(list(self._connections))

        self._call(change())

    def black_hole(self, *, new: bool = True) -> None:
        """Swallow whatever either side sends, its end too, and tell nobody: the connections of now are half-open.

        Parameters:
            new: whether new connections are accepted and swallowed as well, as when a router dies. Else they pass,
                as when a server forgot its connections.
        """

        async def change() -> None:
            self.swallows_new = new
            for connection in self._connections.values():
                connection.swallows = True

        self._call(change())

    def heal(self) -> None:
        """Pass everything on again, at once. Connections of which something was swallowed are reset."""

        async def change() -> None:
            self.delayed_seconds, self.swallows_new, self._refuses = 0.0, False, False
            for connection in self._connections.values():
                connection.swallows = False
            await self._reset([task for task, connection in self._connections.items() if connection.lost])

        self._call(change())

    def close(self) -> None:
        """Reset all connections and listen no more."""

        async def change() -> None:
            self._server.close()
            await self._reset(list(self._connections))

        self._call(change())

    def _call(self, change: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(change, self._loop).result()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _abort(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        connection = self._connections[task] = _Connection(self, reader, writer)
        try:
            await connection.serve(self._target)
        except asyncio.CancelledError:
            pass  # reset
        finally:
            del self._connections[task]

    async def _reset(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            self._connections[task].abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Connection:
    """Two connected sides, each `(reader, writer)`."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.swallows = link.swallows_new
        self.lost = False
        self._link = link
        self._sides = [(reader, writer)]

    async def serve(self, target: int) -> None:
        """Pass bytes on until one side ends and the other may hear of it."""
        reader, writer = self._sides[0]
        if self.swallows:
            await self._swallow(reader)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            _abort(writer)
            return
        self._sides.append((there, back))
        try:
            async with asyncio.TaskGroup() as both:
                for source, sink in ((reader, back), (there, writer)):
                    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY)
                    both.create_task(self._receive(source, under_way))
                    both.create_task(self._deliver(under_way, sink))
        except* OSError:
            pass
        finally:
            for _, side in self._sides:
                side.close()

    def abort(self) -> None:
        """Reset both sides."""
        for _, writer in self._sides:
            _abort(writer)

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        self.lost = True
        while await _read(reader):
            pass
        await asyncio.Event().wait()  # its end is not answered; `heal` or `close` ends this

    async def _receive(self, source: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            data = await _read(source)
            await under_way.put((asyncio.get_running_loop().time() + self._link.delayed_seconds, data))

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        data = b"-"
        while data:
            due, data = await under_way.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            if self.swallows:
                self.lost = True
            elif data:
                sink.write(data)
                await sink.drain()
            else:
                raise ConnectionResetError


async def _read(reader: asyncio.StreamReader) -> bytes:
    """What comes next; empty at the end, however it comes about."""
    try:
        return await reader.read(CHUNK_BYTES)
    except OSError:
        return b""


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close at once, so that the other side sees a reset and no orderly end."""
    if (sock := writer.get_extra_info("socket")) is not None and sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
