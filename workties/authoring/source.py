"""Reads the class of a workty from the text of its file: states, transitions, handlers, and their lines.

The text is read, never run: what it would do, and what it needs to be installed, does not matter, and each thing found
has a line. What a text does not say plainly, e.g. states that are computed, counts as unknown (None); nothing is said
about it then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workties.authoring.returns import Returns, read_returns
from workties.authoring.values import Unknown, constants, value_of

_HANDLER = "on_enter_"


@dataclass(frozen=True, slots=True)
class Handler:
    """A method `on_enter_<state>`: its line, and what it may return."""

    line: int
    returns: Returns


@dataclass(frozen=True, slots=True)
class WorktyClass:
    """What the text of a class says.

    Attributes:
        states: in order; None if the text does not say them plainly.
        transitions: as declared, with the line of each; None as for states.
        inherits: it has other bases too, which may have handlers.
    """

    name: str
    line: int
    states: tuple[str, ...] | None
    states_line: int
    transitions: tuple[tuple[Any, int], ...] | None
    initial: str
    handlers: Mapping[str, Handler]
    inherits: bool


@dataclass(frozen=True, slots=True)
class PropertyReads:
    """Properties that a file reads by their names, with lines; `others`: it may read more than those."""

    names: tuple[tuple[str, int], ...]
    others: bool


def find_classes(tree: ast.Module) -> list[WorktyClass]:
    """The subclasses of `Workty` that a file defines, in order."""
    known = {"Workty", *_imported_as(tree)}
    names = constants(tree.body)
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base).removeprefix("workties.").removeprefix("sdk.") for base in node.bases]
            if known.intersection(bases):
                known.add(node.name)
                found.append(_read_class(node, names, inherits=len(bases) > 1))
    return found


def find_properties(tree: ast.Module) -> PropertyReads:
    """Which properties a file reads: `….properties["name"]`, `….properties.get("name")`, `"name" in ….properties`."""
    names, counted = [], 0
    for node in ast.walk(tree):
        name = _property_read(node)
        if name is not None:
            names.append((name, node.lineno))  # type: ignore[attr-defined]
            counted += 1
    seen = sum(1 for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "properties")
    return PropertyReads(tuple(names), others=seen > counted)


def _property_read(node: ast.AST) -> str | None:
    match node:
        case ast.Subscript(value=ast.Attribute(attr="properties"), slice=ast.Constant(value=str(name))):
            return name
        case ast.Call(
            func=ast.Attribute(value=ast.Attribute(attr="properties"), attr="get"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return name
        case ast.Compare(
            left=ast.Constant(value=str(name)),
            ops=[ast.In() | ast.NotIn()],
            comparators=[ast.Attribute(attr="properties")],
        ):
            return name
    return None


def _imported_as(tree: ast.Module) -> Iterator[str]:
    """Other names that the file gives to `Workty`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workties"):
            yield from (alias.asname for alias in node.names if alias.name == "Workty" and alias.asname)


def _read_class(node: ast.ClassDef, names: Mapping[str, Any], *, inherits: bool) -> WorktyClass:
    assigned = dict(_assigned(node.body))
    names = {**names, **constants(node.body)}
    states = assigned.get("states")
    initial = assigned.get("initial")
    return WorktyClass(
        name=node.name,
        line=node.lineno,
        states=_states(states, names),
        states_line=states.lineno if states else node.lineno,
        transitions=_transitions(assigned.get("transitions"), names),
        initial=str(_value(initial, names) or "") if initial else "",
        handlers=dict(_handlers(node.body, names)),
        inherits=inherits,
    )


def _assigned(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value


def _handlers(body: Sequence[ast.stmt], names: Mapping[str, Any]) -> Iterator[tuple[str, Handler]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(_HANDLER):
            plain = isinstance(node, ast.FunctionDef) and not node.decorator_list
            returns = read_returns(node.body, names) if plain else Returns(anything=True)
            yield node.name.removeprefix(_HANDLER), Handler(node.lineno, returns)
    for name, value in _assigned(body):
        if name.startswith(_HANDLER):
            yield name.removeprefix(_HANDLER), Handler(value.lineno, Returns(anything=True))


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of an expression, None if the text does not say it."""
    try:
        return value_of(node, names)
    except Unknown:
        return None


def _states(node: ast.expr | None, names: Mapping[str, Any]) -> tuple[str, ...] | None:
    found = () if node is None else _value(node, names)
    if isinstance(found, str):
        return ()  # refused like no states at all
    if not isinstance(found, tuple) or not all(isinstance(state, str) for state in found):
        return None
    return found


def _transitions(node: ast.expr | None, names: Mapping[str, Any]) -> tuple[tuple[Any, int], ...] | None:
    if node is None:
        return ()
    if isinstance(node, ast.Tuple | ast.List) and not any(isinstance(each, ast.Starred) for each in node.elts):
        found = [(_value(each, names), each.lineno) for each in node.elts]
    else:
        value = _value(node, names)
        if isinstance(value, dict | str):
            return ((value, node.lineno),)
        if not isinstance(value, tuple):
            return None
        found = [(each, node.lineno) for each in value]
    return None if any(value is None for value, _ in found) else tuple(found)
