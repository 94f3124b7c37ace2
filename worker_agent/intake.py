"""What comes in for the boards of this process: checks it and hands it to its board. Knows nothing of the broker."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from worker_agent.board import Board
from worker_agent.records import Key
from workties import checks
from workties.errors import BadMessage
from workties.messages import Reason
from workties.parsing import parse_assignment, parse_control

logger = logging.getLogger(__name__)


class Intake:
    """Hands messages to boards.

    Args:
        boards: by id.
    """

    def __init__(self, boards: Mapping[str, Board]) -> None:
        self._boards = boards

    @property
    def board_ids(self) -> tuple[str, ...]:
        """Boards for which messages are taken."""
        return tuple(self._boards)

    def assignment(self, body: object) -> None:
        """An assignment came. Raises `BadMessage`; the server then is told as far as the message says about what."""
        try:
            found = parse_assignment(body)
            board = self._board(found.board)
        except BadMessage as error:
            self._refuse(body, error)
            raise
        board.take(found)

    def control(self, body: object) -> None:
        """A stop, pause or forget came. Raises `BadMessage`."""
        found = parse_control(body)
        self._board(found.board).follow(found)

    def _board(self, board: str) -> Board:
        if board not in self._boards:
            raise BadMessage(f"board: expected one of {', '.join(self._boards)}, got {board!r}")
        return self._boards[board]

    def _refuse(self, body: object, error: BadMessage) -> None:
        try:
            found = checks.mapping({"body": body}, "body")
            attempt = checks.whole(found, "attempt", least=1)
            key = Key(checks.text(found, "run"), checks.text(found, "instance"), attempt)
            board = self._board(checks.text(found, "board"))
        except BadMessage:
            return
        board.refuse(key, Reason("bad-message", error.reason[:1000]))
