"""What a handler may return, read from its text. More than it really does at times, never less."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workties.authoring.values import Unknown, value_of


@dataclass(frozen=True, slots=True)
class Returns:
    """What may be returned: triggers with their lines, `nothing` (None), `anything` that the text does not say."""

    triggers: tuple[tuple[str, int], ...] = ()
    nothing: bool = False
    anything: bool = False


def read_returns(body: Sequence[ast.stmt], names: Mapping[str, Any]) -> Returns:
    """What a function with this body may return, where `names` have these values."""
    results = [(result, node.lineno) for node in _returned(body) for result in _results(node.value, names)]
    triggers = tuple((result, line) for result, line in results if isinstance(result, str))
    return Returns(
        triggers=triggers,
        nothing=any(result is None for result, _ in results) or _falls_through(body),
        anything=any(result is Unknown for result, _ in results),
    )


def _returned(body: Iterable[ast.AST]) -> Iterator[ast.Return]:
    """The returns of a function, not those of functions within it."""
    for node in body:
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _returned(ast.iter_child_nodes(node))


def _results(node: ast.expr | None, names: Mapping[str, Any]) -> list[Any]:
    """Each value that an expression may have: None, a text, or `Unknown`."""
    match node:
        case None:
            return [None]
        case ast.IfExp(body=body, orelse=orelse):
            return _results(body, names) + _results(orelse, names)
    try:
        found = value_of(node, names)
    except Unknown:
        return [Unknown]
    return [found if found is None or isinstance(found, str) else Unknown]


def _falls_through(body: Sequence[ast.stmt]) -> bool:
    """Whether statements may end without a return."""
    return all(_goes_on(node) for node in body)


def _goes_on(node: ast.stmt) -> bool:
    """Whether a statement may be followed by the next one."""
    match node:
        case ast.Return() | ast.Raise() | ast.Expr(ast.Call(ast.Attribute(ast.Name("sys"), "exit"))):
            found = False
        case ast.If(body=body, orelse=orelse):
            found = _falls_through(body) or _falls_through(orelse)
        case ast.While(test=ast.Constant(value=always), body=body) if always:
            found = any(isinstance(inner, ast.Break) for part in body for inner in ast.walk(part))
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
            tried = _falls_through([*body, *orelse]) or any(_falls_through(each.body) for each in handlers)
            found = tried and _falls_through(final)
        case ast.With(items=items, body=body):
            found = _falls_through(body) or any("suppress" in ast.unparse(item) for item in items)
        case _:
            found = True
    return found
