"""The state machine of a workty as a graph, as Mermaid's text and as a picture."""

from __future__ import annotations

import ast
import itertools
import re
from xml.etree import ElementTree as ET

import pytest

from workties.authoring.machine import Edge, Machine, in_order, machine_of
from workties.authoring.mermaid import mermaid
from workties.authoring.source import find_classes
from workties.authoring.svg import svg

CODE = """
import workties as w
from workties import Workty as Base

class Backup(Base):
    states: ClassVar = ("checking", "copying", "verifying", "repairing", "reporting")
    transitions = [
        {"trigger": "nothing", "source": "checking", "dest": "reporting"},
        {"trigger": "more", "source": "copying", "dest": "="},
        {"trigger": "again", "source": ("verifying", "repairing"), "dest": "copying"},
        {"trigger": "good", "source": "verifying", "dest": "reporting"},
    ]

    def on_enter_checking(self):
        return None if self.look() else "nothing"

    def on_enter_copying(self):
        return self.memory.get("way")

    def on_enter_verifying(self):
        if self.broken():
            return
        return "good"

    def on_enter_repairing(self):
        if self.hopeless():
            raise ValueError("hopeless")
        return "again"
"""


SVG = "{http://www.w3.org/2000/svg}"


def backup() -> Machine:
    [found] = find_classes(ast.parse(CODE))
    machine = machine_of(found)
    assert machine is not None
    return machine


def test_only_ways_that_handlers_may_take_are_drawn() -> None:
    assert mermaid(backup()).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> checking",
        "    checking --> copying",
        "    checking --> reporting : nothing",
        "    copying --> verifying",
        "    copying --> copying : more",
        "    verifying --> repairing",
        "    verifying --> reporting : good",
        "    repairing --> copying : again",
        "    reporting --> [*]",
    ]


def test_names_that_mermaid_would_misread_get_others_in_its_text() -> None:
    assert mermaid(in_order("x", ["end", 'a "b": c', "fine"])).splitlines()[1:5] == [
        '    state "end" as s0_',
        '    state "a #34;b#34;#58; c" as s1_',
        "    [*] --> s0_",
        "    s0_ --> s1_",
    ]


def drawn(machine: Machine) -> tuple[ET.Element, dict[str, tuple[float, ...]]]:
    """The picture, and the box of each state: left, top, right, bottom."""
    root = ET.fromstring(svg(machine))
    boxes = [
        tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        for rect in root.iter(SVG + "rect")
        if rect.get("class") == "state"
    ]
    corners = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    return root, dict(zip(machine.states, corners, strict=True))


@pytest.mark.parametrize("machine", [backup(), in_order("x", ["only"]), in_order("x", ["a", "b<c>&", "d"])])
def test_a_picture_holds_every_state_and_way_within_its_frame(machine: Machine) -> None:
    root, boxes = drawn(machine)
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    texts = [text.text for text in root.iter(SVG + "text")]
    assert set(texts) == {*machine.states, *(edge.trigger for edge in machine.edges if edge.trigger)}
    ways = [path for path in root.iter(SVG + "path") if path.get("class") == "way"]
    assert len(ways) == len(machine.edges) + 2
    for x1, y1, x2, y2 in boxes.values():
        assert 0 < x1 < x2 < width
        assert 0 < y1 < y2 < height
    for path in ways:
        assert all(0 <= float(x) <= width for x in re.findall(r"[MH](-?[\d.]+)", path.attrib["d"]))


def test_ways_beside_the_states_begin_and_end_at_different_places() -> None:
    root, _ = drawn(backup())
    arcs = [path.attrib["d"] for path in root.iter(SVG + "path") if "q" in path.attrib["d"]]
    ends = [(d.split("H")[-1], d.split("V")[1].split("q")[0]) for d in arcs]
    assert len(arcs) == 4
    assert all(a != b for a, b in itertools.combinations(ends, 2))


def test_ways_from_one_state_do_not_cross_each_other() -> None:
    forward = tuple(Edge("a", dest, f"to_{dest}") for dest in "cde")
    root, _ = drawn(Machine("x", tuple("abcde"), "a", forward))
    arcs = [path.attrib["d"] for path in root.iter(SVG + "path") if "q" in path.attrib["d"]]
    begins = {float(d.split("H")[1].split("q")[0]): float(d.split("H")[0].split()[1]) for d in arcs}
    outwards = [begins[lane] for lane in sorted(begins)]
    assert len(outwards) == 3
    assert outwards == sorted(outwards, reverse=True)


def test_of_a_class_that_does_not_say_its_states_nothing_is_drawn() -> None:
    [found] = find_classes(ast.parse("class A(Workty):\n    states = tuple(find())"))
    assert machine_of(found) is None
