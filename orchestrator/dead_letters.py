"""The queue of dead letters for people: to be listed, replayed, and dropped one by one. Nothing else reads it.

RabbitMQ lets nobody look into a queue. So letters are taken without being acknowledged, and go back as the channel is
closed, or as this process dies; meanwhile another reader does not see them. They go back to the end of the queue, so
all of them are taken each time: that keeps their order. A letter is acknowledged only after it was to be dropped, or
after the broker has confirmed its replay: a crash in between repeats the replay, which run engine and boards tolerate
as they do any message that comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from time import monotonic, sleep
from typing import Any

from amqp.exceptions import ChannelError
from celery import Celery
from kombu import Connection

from orchestrator.broker import DEAD_LETTERS_QUEUE, NO_ROUTE, account, declare, reaching
from orchestrator.errors import CannotReplay, NoSuchLetter
from orchestrator.letters import Letter, Replay, letter_of

#: How long (seconds) the broker may take to connect.
CONNECT_SECONDS = 5.0
CONFIRM_SECONDS = 10.0
#: How long (seconds) letters may take to be in the queue again after their channel was closed, and between two looks.
BACK_SECONDS, LOOK_SECONDS = 5.0, 0.02


@dataclass(frozen=True, slots=True)
class Taken:
    """A letter that was taken out of the queue, and how to acknowledge it."""

    letter: Letter
    tag: int


class DeadLetters:
    """The dead letters of an installation. All methods raise `Unavailable` while the broker is away.

    Args:
        app: from `broker.server_app`.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def read(self, limit: int) -> tuple[list[Letter], int]:
        """The oldest letters, at most `limit`, and how many there are."""
        with self._desk() as desk:
            return [taken.letter for taken in islice(desk.take(), limit)], desk.total

    def find(self, letter_id: str) -> Letter:
        """One letter. Raises `NoSuchLetter`."""
        with self._desk() as desk:
            return desk.find(letter_id).letter

    def drop(self, letter_id: str) -> Letter:
        """Delete one letter, and return it. Raises `NoSuchLetter`."""
        with self._desk() as desk:
            taken = desk.find(letter_id)
            desk.remove(taken)
            return taken.letter

    def drop_all(self) -> int:
        """Delete those that are there now; returns how many there were."""
        with self._desk() as desk:
            return sum(map(desk.remove, desk.take()))

    def replay(self, letter_id: str) -> Letter:
        """Have one letter read again by whoever it was for, and return it. Raises `NoSuchLetter`, `CannotReplay`."""
        with self._desk() as desk:
            taken = desk.find(letter_id)
            desk.replay(taken)
            return taken.letter

    def replay_all(self) -> tuple[int, list[CannotReplay]]:
        """Replay those that are there now, oldest first; how many were, and why the others stay."""
        replayed, staying = 0, []
        with self._desk() as desk:
            for taken in desk.take():
                try:
                    desk.replay(taken)
                    replayed += 1
                except CannotReplay as error:
                    staying.append(error)
        return replayed, staying

    @contextmanager
    def _desk(self) -> Iterator[_Desk]:
        with reaching(), self._app.connection_for_write(connect_timeout=CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=0, timeout=CONNECT_SECONDS)
            declare(connection)
            with connection.channel() as letters, connection.channel() as again:
                desk = _Desk(connection, letters, again, account(self._app))
                try:
                    yield desk
                finally:
                    desk.clear()
            _until_back(connection, desk.total - desk.removed)


class _Desk:
    """Letters as they lie on the table: what is not removed goes back as the channel `letters` is closed."""

    def __init__(self, connection: Connection, letters: Any, again: Any, server: str | None) -> None:
        self._letters, self._server = letters, server
        self._producer = connection.Producer(again, auto_declare=False)
        letters.auto_decode = False
        self.total, self.removed = _count(letters), 0
        self._left = self.total

    def take(self) -> Iterator[Taken]:
        """The letters that were there at first, oldest first."""
        while (message := self._next()) is not None:
            yield Taken(letter_of(bytes(message.body), message.properties), message.delivery_tag)

    def clear(self) -> None:
        """Take what was not looked at, so that all letters go back in their order."""
        while self._next() is not None:
            pass

    def _next(self) -> Any:
        self._left -= 1
        return self._letters.basic_get(DEAD_LETTERS_QUEUE) if self._left >= 0 else None

    def find(self, letter_id: str) -> Taken:
        """The oldest letter with this id. Raises `NoSuchLetter`."""
        for taken in self.take():
            if taken.letter.id == letter_id:
                return taken
        raise NoSuchLetter(letter_id, self.total)

    def remove(self, taken: Taken) -> bool:
        """Delete a letter; always True."""
        self._letters.basic_ack(taken.tag)
        self.removed += 1
        return True

    def replay(self, taken: Taken) -> None:
        """Publish the message in a letter, and delete the letter. Raises `CannotReplay`, and keeps it then."""
        letter = taken.letter
        if letter.obstacle is not None:
            raise CannotReplay(letter.id, f"it would be refused again: {letter.obstacle}")
        try:
            self._publish(letter.replay)
        except ChannelError as error:
            if error.reply_code != NO_ROUTE:
                raise
            raise CannotReplay(letter.id, f"queue {letter.replay.queue} is gone, with its board") from error
        self.remove(taken)

    def _publish(self, replay: Replay) -> None:
        vouched = {"user_id": self._server} if replay.by_server and self._server is not None else {}
        self._producer.publish(
            replay.body,
            exchange="",
            routing_key=replay.queue,
            content_type=replay.content_type,
            content_encoding=replay.content_encoding,
            headers=dict(replay.headers),
            mandatory=True,
            delivery_mode=2,
            confirm_timeout=CONFIRM_SECONDS,
            **vouched,
        )


def _count(channel: Any) -> int:
    return int(channel.queue_declare(DEAD_LETTERS_QUEUE, passive=True).message_count)


def _until_back(connection: Connection, letters: int) -> None:
    """Return when so many letters can be read again: the broker brings them back some time after the channel's end."""
    until = monotonic() + BACK_SECONDS
    with connection.channel() as channel:
        while _count(channel) < letters and monotonic() < until:
            sleep(LOOK_SECONDS)
