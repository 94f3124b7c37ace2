"""Puts together what tells live clients, once a process: the core's audience, changed entities, and what is read."""

from __future__ import annotations

from api.live.announcer import Announcer
from api.live.channel import Channel
from api.live.news import News
from api.live.reading import LiveReader
from api.services import Services


class Telling:
    """The audience of a process's core, and where its live API reads.

    The core is built with `audience`, the services on it; `begin` then says where to read, and starts to tell.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.news = News(channel.emit)
        self.audience = Announcer(channel.emit, self.news.changed)

    def begin(self, services: Services) -> LiveReader:
        """Start to tell changed entities; returns where they, and runs, are read."""
        reader = LiveReader(services)
        self.news.begin(reader.read)
        return reader
