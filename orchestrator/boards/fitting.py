"""Why no slot can be had: what the boards of the fleet lack, or who keeps those that fit busy. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from orchestrator.boards.store import Board
from orchestrator.runs.vocabulary import StepReason

#: Boards are named where they are at most this many; longer names are cut (characters).
NAMED, NAME_LENGTH = 3, 40
#: At most this many runtimes and labels are named.
MOST_WANTED = 4
#: Longest sentence, characters.
MAX_SENTENCE = 500


def waiting_reason(boards: Sequence[Board], languages: Collection[str], labels: Collection[str]) -> StepReason:
    """What a run that needs these runtimes and labels, and has no slot, waits for.

    The sentence does not depend on how many slots are leased, so that it stays true while runs come and go.
    """
    if not boards:
        return StepReason("no-board", "There is no board at all. An admin adds one: workty board add NAME")
    fitting = [board for board in boards if board.fits(languages, labels)]
    ready = [board for board in fitting if board.available and board.slots]
    others = [board for board in fitting if board not in ready]
    if ready:
        more = f". Others that fit: {_away(others)}" if others else ""
        return StepReason("no-slot", _bounded(f"{_busy(ready)}{more}"))
    wanted = _items(languages, labels)
    if away := _away([*others, *(board for board in boards if _unheard(board))]):
        rare = [item for item in wanted if any(not _has(board, item) for board in boards if not _unheard(board))]
        told = rare or _items((), labels) or wanted
        return StepReason("no-board", _bounded(f"No board with {_listed(told)} is available: {away}"))
    return StepReason("no-board", _bounded(_lacking(boards, wanted)))


Item = tuple[str, str]


def _items(languages: Iterable[str], labels: Iterable[str]) -> list[Item]:
    return [("label", name) for name in sorted(labels)] + [("runtime", name) for name in sorted(languages)]


def _has(board: Board, item: Item) -> bool:
    kind, name = item
    return name in (board.labels if kind == "label" else board.runtimes)


def _unheard(board: Board) -> bool:
    """Whether nobody knows what the board has, because it was never there."""
    return board.last_seen is None and not board.runtimes


def _busy(ready: Sequence[Board]) -> str:
    slots = sum(board.slots for board in ready)
    if len(ready) > 1:
        return f"{len(ready)} boards fit{_names(ready)}, and all of their {slots} slots are busy"
    its = f"all of its {slots} slots are busy" if slots > 1 else "its only slot is busy"
    return f"Board '{_short(ready[0].name)}' fits, and {its}"


def _away(boards: Sequence[Board]) -> str:
    """How many boards take nothing now, by why; "" for none."""
    groups: dict[_Obstacle, dict[str, Board]] = defaultdict(dict)
    for board in boards:
        groups[_obstacle(board)][board.id] = board
    return ", ".join(
        f"{len(found)} {obstacle.of_one if len(found) == 1 else obstacle.of_many}{_names(list(found.values()))}"
        for obstacle, found in sorted(groups.items())
    )


class _Obstacle(NamedTuple):
    """Why a board takes nothing, said of one and of many; what is easily changed comes first."""

    rank: int
    of_one: str
    of_many: str


def _obstacle(board: Board) -> _Obstacle:
    if _unheard(board):
        return _Obstacle(3, "was never connected", "were never connected")
    found = {"disabled": board.disabled, "draining": board.draining, "disconnected": not board.connected}
    words = [word for word, holds in found.items() if holds]
    if not words:
        return _Obstacle(2, "has no slots", "have no slots")
    said = " and ".join(words)
    return _Obstacle(len(words) - 1 + (not board.connected), f"is {said}", f"are {said}")


def _lacking(boards: Sequence[Board], wanted: Sequence[Item]) -> str:
    """What no board has, or, if each of it is somewhere, who lacks how much."""
    nowhere = [item for item in wanted if not any(_has(board, item) for board in boards)]
    connected = [board for board in boards if board.connected]
    if nowhere:
        count = f"{len(connected)} {'board is' if len(connected) == 1 else 'boards are'} connected"
        return f"No board has {_listed(nowhere)}; {count}{_names(connected)}"
    lacks = [(sum(not _has(board, item) for board in boards), item) for item in wanted]
    told = ", ".join(f"{count} {'lacks' if count == 1 else 'lack'} {_listed([item])}" for count, item in lacks if count)
    return f"No board has {_listed(wanted)} together: of {len(boards)} boards {told}"


def _listed(items: Sequence[Item]) -> str:
    told = [f"{kind} '{_short(name)}'" for kind, name in items[:MOST_WANTED]]
    if len(items) > MOST_WANTED:
        told.append(f"{len(items) - MOST_WANTED} more")
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def _names(boards: Sequence[Board]) -> str:
    if not 0 < len(boards) <= NAMED:
        return ""
    return f" ({', '.join(sorted(_short(board.name) for board in boards))})"


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 3] + "..."


def _bounded(sentence: str) -> str:
    return sentence if len(sentence) <= MAX_SENTENCE else sentence[: MAX_SENTENCE - 3] + "..."
