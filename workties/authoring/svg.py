"""A state machine as a picture: states in a column, ways that skip some at the right, ways back at the left.

The layout is made for the machines of workties, which have few states and a main way through them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from workties.authoring.machine import Edge, Machine

#: Height of a state, distance between two, and space between lines beside them; pixels.
HEIGHT, GAP, LANE = 40, 44, 18
#: Width of a character; those of the font used are not wider.
CHARACTER = 8
_MARGIN, _DOT, _ROUND = 20, 7, 8
_STYLE = """
    text { font: 13px monospace; fill: #1f2933 }
    .state { fill: #eef4fb; stroke: #3b6ea5; stroke-width: 1.5 }
    .way, .ring { fill: none; stroke: #52606d; stroke-width: 1.5 }
    .label { fill: #52606d; stroke: #fff; stroke-width: 4; paint-order: stroke }
    .dot { fill: #52606d }
"""
_HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z" class="dot"/></marker>'
)


@dataclass(frozen=True, slots=True)
class _Arc:
    """A way beside the column, from one row to another, or to the same one."""

    edge: Edge
    begin: int
    end: int

    @property
    def low(self) -> int:
        return min(self.begin, self.end)

    @property
    def high(self) -> int:
        return max(self.begin, self.end)


def svg(machine: Machine) -> str:
    """The picture, as a document of its own with a newline at its end."""
    row = {state: number for number, state in enumerate(machine.states)}
    direct: dict[int, Edge] = {}
    arcs: list[_Arc] = []
    for edge in machine.edges:
        begin, end = row[edge.source], row[edge.dest]
        if end == begin + 1 and begin not in direct:
            direct[begin] = edge
        else:
            arcs.append(_Arc(edge, begin, end))
    width = max(len(state) for state in machine.states) * CHARACTER + 4 * _ROUND
    labels = max((len(edge.trigger) * CHARACTER + LANE for edge in direct.values()), default=0)
    right = _Side([arc for arc in arcs if arc.end >= arc.begin], 1, max(0, labels - width // 2))
    left = _Side([arc for arc in arcs if arc.end < arc.begin], -1)
    x = _MARGIN + left.room
    column = _Column(x, width)
    return _document(
        x + width + right.room + _MARGIN,
        _y(len(machine.states)) + _MARGIN,
        [
            *(column.state(number, state) for number, state in enumerate(machine.states)),
            *(column.straight(number, edge.trigger) for number, edge in direct.items()),
            *right.drawn(x + width),
            *left.drawn(x),
            *column.ends(row[machine.initial], len(machine.states) - 1),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """The states, and what is above, between and below them."""

    x: int
    width: int

    def state(self, row: int, name: str) -> str:
        box = f'<rect class="state" x="{self.x}" y="{_y(row)}" width="{self.width}" height="{HEIGHT}" rx="{_ROUND}"/>'
        return box + _text(self._centre, _y(row) + HEIGHT / 2, name, "", "middle")

    def straight(self, row: int, label: str) -> str:
        y = _y(row) + HEIGHT
        return _way(f"M{self._centre} {y}V{y + GAP}") + _text(self._centre + 8, y + GAP / 2, label, "label", "start")

    def ends(self, initial: int, last: int) -> Iterator[str]:
        """Where the machine begins and where it is complete."""
        x = self._centre if initial == 0 else self.x + 2 * _ROUND
        y = _y(initial)
        yield f'<circle class="dot" cx="{x}" cy="{y - GAP / 2}" r="{_DOT}"/>' + _way(f"M{x} {y - GAP / 2}V{y}")
        x, y = self._centre, _y(last) + HEIGHT
        yield _way(f"M{x} {y}V{y + GAP / 2}")
        yield "".join(
            f'<circle class="{kind}" cx="{x}" cy="{y + GAP / 2 + _DOT}" r="{radius}"/>'
            for kind, radius in (("ring", _DOT), ("dot", _DOT - 3))
        )

    @property
    def _centre(self) -> int:
        return self.x + self.width // 2


class _Side:
    """The ways at one side of the column: `out` is 1 at the right and -1 at the left; `inner` pixels are left free.

    Attributes:
        room: how wide they are, pixels.
    """

    def __init__(self, arcs: Sequence[_Arc], out: int, inner: int = 0) -> None:
        self._out = out
        self._lanes = _lanes(arcs)
        self._offsets: list[int] = []
        self.room = inner
        for lane in self._lanes:
            self._offsets.append(self.room + LANE)
            self.room += LANE + max(len(arc.edge.trigger) for arc in lane) * CHARACTER
        self._ports = _ports(arcs)

    def drawn(self, x: int) -> Iterator[str]:
        """The ways, which begin and end at `x`."""
        for lane, offset in zip(self._lanes, self._offsets, strict=True):
            for arc in lane:
                yield self._arc(arc, x, x + self._out * offset)

    def _arc(self, arc: _Arc, x: int, lane: int) -> str:
        a, b = self._ports[arc, False], self._ports[arc, True]
        turn = _ROUND if b > a else -_ROUND
        turn = turn if abs(b - a) >= 2 * _ROUND else int((b - a) / 2)
        bend = self._out * min(_ROUND, abs(turn))
        path = f"M{x} {a:g}H{lane - bend}q{bend} 0 {bend} {turn}V{b - turn:g}q0 {turn} {-bend} {turn}H{x}"
        anchor = "start" if self._out > 0 else "end"
        return _way(path) + _text(lane + self._out * 5, (a + b) / 2, arc.edge.trigger, "label", anchor)


def _lanes(arcs: Sequence[_Arc]) -> list[list[_Arc]]:
    """Arcs that may share a line, from the innermost outwards; short ones are inside."""
    lanes: list[list[_Arc]] = []
    for arc in sorted(arcs, key=lambda arc: arc.high - arc.low):
        free = (lane for lane in lanes if all(arc.high < other.low or other.high < arc.low for other in lane))
        lane = next(free, None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(arc)
    return lanes


def _ports(arcs: Sequence[_Arc]) -> dict[tuple[_Arc, bool], float]:
    """Where each arc begins (False) and ends (True), such that arcs from one state do not cross each other."""
    at: dict[int, list[tuple[int, tuple[_Arc, bool]]]] = {}
    for arc in arcs:
        for ends, here, there in ((False, arc.begin, arc.end), (True, arc.end, arc.begin)):
            # From the top: those upwards, near ones first; loops; those downwards, far ones first.
            rank = there - here
            at.setdefault(here, []).append((-1000 - rank if rank < 0 else 1000 - rank if rank else 0, (arc, ends)))
    return {
        port: _y(row) + HEIGHT * (number + 1) / (len(found) + 1)
        for row, found in at.items()
        for number, (_, port) in enumerate(sorted(found, key=lambda entry: entry[0]))
    }


def _y(row: int) -> int:
    """Where a row begins."""
    return _MARGIN + GAP // 2 + row * (HEIGHT + GAP)


def _way(path: str) -> str:
    return f'<path class="way" d="{path}" marker-end="url(#head)"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    if not text:
        return ""
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:g}" y="{y + 4:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _document(width: int, height: int, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    background = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", f"<defs>{_HEAD}</defs>", background, *parts, "</svg>", ""])
