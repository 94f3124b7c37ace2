"""A state machine as the text of a Mermaid state diagram."""

from __future__ import annotations

import re

from workties.authoring.machine import Machine

#: Names that Mermaid would take for words of its own.
_WORDS = frozenset({"state", "note", "end", "as", "default", "direction", "class", "classdef", "style", "click"})


def mermaid(machine: Machine) -> str:
    """The diagram, with a newline at its end."""
    ids = {state: _id(state, number) for number, state in enumerate(machine.states)}
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{_quoted(state)}" as {known}' for state, known in ids.items() if known != state]
    lines += [f"    [*] --> {ids[machine.initial]}"]
    for edge in machine.edges:
        label = f" : {_quoted(edge.trigger)}" if edge.trigger else ""
        lines.append(f"    {ids[edge.source]} --> {ids[edge.dest]}{label}")
    lines += [f"    {ids[machine.states[-1]]} --> [*]", ""]
    return "\n".join(lines)


def _id(state: str, number: int) -> str:
    usable = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", state) and state.lower() not in _WORDS
    return state if usable else f"s{number}_"


def _quoted(text: str) -> str:
    """A text in which nothing ends the label that it is in."""
    return re.sub(r'["#;:\\<>\n\r]', lambda found: f"#{ord(found[0])};", text)
