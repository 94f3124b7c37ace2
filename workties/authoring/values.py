"""Values that the text of a program says plainly: literals, and names that stand for literals."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any


class Unknown(Exception):
    """The text does not say the value plainly."""


def value_of(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of an expression, where `names` have these values; lists come as tuples. Raises `Unknown`."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return _sequence(parts, names)
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {value_of(k, names): value_of(v, names) for k, v in zip(keys, values, strict=True) if k is not None}
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _sum(value_of(left, names), value_of(right, names))
    raise Unknown


def constants(body: Sequence[ast.stmt]) -> dict[str, Any]:
    """Names to which the statements of a module or class assign a plain value, once."""
    found: dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            try:
                value = value_of(node.value, found) if node.value else None
            except Unknown:
                value = None
            for target in targets:
                if isinstance(target, ast.Name):
                    found[target.id] = value
    return {name: value for name, value in found.items() if value is not None}


def _sequence(parts: Sequence[ast.expr], names: Mapping[str, Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for part in parts:
        if isinstance(part, ast.Starred):
            found.extend(value_of(part.value, names))
        else:
            found.append(value_of(part, names))
    return tuple(found)


def _sum(left: Any, right: Any) -> Any:
    if type(left) is type(right) and isinstance(left, str | tuple):
        return left + right
    raise Unknown
