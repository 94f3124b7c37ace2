"""Parameters of a request, for all resources in one place: merged, checked, and turned into the core's values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any, NoReturn

from bson import ObjectId
from flask import Request

from orchestrator.errors import BadParameter
from orchestrator.selection import Entity, Kind, Selection, Sort, View

#: Version of this API as the header `accept-version` names it.
VERSION = date(2016, 10, 1)

MAX_PER_PAGE = 250

#: Query parameters that are no filters.
RESERVED = frozenset({"pretty", "fields", "sort", "per_page", "page_num", "count", "embed"})

#: Never repeated to the client.
SECRET = frozenset({"accountid", "password", "compressedcode", "authorization", "token"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a request says in path, query and body. In `merged` path wins over query, and query over body."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def merged(self) -> dict[str, Any]:
        """All of them by name."""
        return {**self.body, **self.query, **self.path}

    @property
    def pretty(self) -> bool:
        """Whether the answer is indented."""
        return str(self.merged.get("pretty", "true")).lower() != "false"

    @property
    def counted(self) -> bool:
        """Whether the number of records is wanted."""
        return self.query.get("count", "").lower() == "true"

    def view(self, *, fields: bool = True) -> View:
        """What is wanted of a record; `fields` only where the method knows that parameter."""
        embed = self.merged.get("embed", "")
        if not isinstance(embed, str):
            raise BadParameter("embed: expected a comma-separated list of names")
        keys = frozenset(_names(embed.lower()))
        return _fields(self.query.get("fields", ""), keys) if fields else View(embed=keys)

    def selection(self, entity: Entity, *, default_limit: int = 0, since: str | None = None) -> Selection:
        """Which records of a list are wanted: filters, order and page.

        Args:
            default_limit: length of a page where none is asked for; 0: everything.
            since: name of the field that must be greater than the parameter `since`, if the list knows that one.
        """
        limit = _whole(self.query, "per_page", least=0, most=MAX_PER_PAGE, default=0) or default_limit
        page = _whole(self.query, "page_num", least=1, most=None, default=1)
        reserved = RESERVED if since is None else RESERVED | {"since"}
        filters = {name: value for name, value in self.query.items() if name not in reserved}
        above = _whole(self.query, "since", least=0, most=None, default=0) if since is not None else 0
        return Selection(
            where={name: _filter(entity, name, text) for name, text in filters.items()},
            above={since: above} if since is not None and above else {},
            sort=_sort(self.query.get("sort", ""), entity),
            skip=(page - 1) * limit,
            limit=limit,
        )

    def told(self) -> Any:
        """What an error repeats of them."""
        return without_secrets(self.merged)


def read_parameters(request: Request, path: Mapping[str, str], *, body: bool) -> Parameters:
    """The parameters of a request, with or without its body. Raises `BadParameter` for a bad body."""
    return Parameters(path, dict(request.args.items()), _body(request) if body else {})


def check_version(header: str | None) -> None:
    """Return if this API can serve the wanted version. Raises `BadParameter`."""
    if header is None or header.strip() == "*":
        return
    wanted = _date(re.sub(r"^(~|\^|>=)", "", header.strip()).strip())
    if wanted is None or wanted > VERSION:
        current = f"{VERSION.year}.{VERSION.month}.{VERSION.day}"
        raise BadParameter(f"accept-version: expected a date up to {current}, the current version")


def _body(request: Request) -> dict[str, Any]:
    if request.mimetype != "application/json":
        raise BadParameter("The body must be JSON. Send the header content-type: application/json")
    text = request.get_data(cache=False)
    if not text:
        return {}
    try:
        body = json.loads(text.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadParameter("The body is not valid JSON") from error
    if not isinstance(body, dict):
        raise BadParameter("The body must be a JSON object")
    return body


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    # What has no value here could not be told back to the client either.
    value = float(text)
    return value if isfinite(value) else _no_number(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _fields(text: str, embed: frozenset[str]) -> View:
    names = _names(text)
    left_out = [name for name in names if name.startswith("-")]
    if not left_out:
        return View(only=frozenset(names) if names else None, embed=embed)
    if len(left_out) < len(names):
        raise BadParameter("fields: either all names have a leading '-' or none has")
    return View(but=frozenset(name.removeprefix("-") for name in names), embed=embed)


def _sort(text: str, entity: Entity) -> Sort:
    order: dict[str, int] = {}
    for name in _names(text):
        plain = name.removeprefix("-")
        if entity.get(plain, Kind.OTHER) is not Kind.OTHER:
            order.setdefault(plain, -1 if name.startswith("-") else 1)
    return tuple(order.items())


def _whole(query: Mapping[str, str], name: str, *, least: int, most: int | None, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    # A page far beyond the end is as empty as any other one, and MongoDB counts in 64 bits.
    value = min(int(text), 10**12) if re.fullmatch(r"[0-9]{1,100}", text) else -1
    if value < least or (most is not None and value > most):
        allowed = f"from {least} to {most}" if most is not None else f"from {least}"
        raise BadParameter(f"{name}: expected a whole number {allowed}")
    return value


def _filter(entity: Entity, name: str, text: str) -> Any:
    kind = entity.get(name, Kind.OTHER)
    if kind is Kind.OTHER:
        raise BadParameter(f"{name}: lists cannot be filtered by this name")
    try:
        return _CONVERSIONS[kind](text)
    except (ValueError, OverflowError) as error:
        raise BadParameter(f"{name}: expected a value of the type {kind.value}") from error


def _id(text: str) -> ObjectId:
    if not re.fullmatch(r"[0-9a-fA-F]{24}", text):
        raise ValueError(text)
    return ObjectId(text)


def _number(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def _decimal(text: str) -> float:
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        raise ValueError(text)
    return float(text)


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"


def _moment(text: str) -> datetime:
    # A plus sign that was not escaped arrives as a space.
    found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


_CONVERSIONS: Mapping[Kind, Callable[[str], Any]] = {
    Kind.ID: _id,
    Kind.TEXT: str,
    Kind.NUMBER: _number,
    Kind.DECIMAL: _decimal,
    Kind.FLAG: _flag,
    Kind.DATE: _moment,
}


def _date(text: str) -> date | None:
    found = re.match(r"(\d{4})[-./ ](\d{1,2})[-./ ](\d{1,2})(?!\d)", text) or re.match(
        r"(\d{4})(\d{2})(\d{2})(?!\d)", text
    )
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def without_secrets(value: Any) -> Any:
    """A value without the members that are never repeated to a client, at any depth."""
    if isinstance(value, dict):
        return {name: without_secrets(v) for name, v in value.items() if name.lower() not in SECRET}
    if isinstance(value, list):
        return [without_secrets(entry) for entry in value]
    return value
