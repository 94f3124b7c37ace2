"""Who may do what: a row for each method of each path. The tests ask every row of a server, and docs/permissions.md is
written from the same rows: `python -m tests.unit.api.permissions >docs/permissions.md`.

A row is about an entity that belongs to a regular account, its owner. Somebody without credentials gets 401 everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Outcome(Enum):
    """What somebody gets, by the words of the documentation."""

    YES = "yes"
    FORBIDDEN = "403"
    HIDDEN = "404"
    LISTED = "sees it"
    NOT_LISTED = "does not see it"


YES, FORBIDDEN, HIDDEN = Outcome.YES, Outcome.FORBIDDEN, Outcome.HIDDEN
LISTED, NOT_LISTED = Outcome.LISTED, Outcome.NOT_LISTED


@dataclass(frozen=True)
class Row:
    """A request about `subject`, and what its owner, another regular account and an admin get."""

    method: str
    path: str
    subject: str
    owner: Outcome
    other: Outcome
    admin: Outcome
    body: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.subject})"


_WORKFLOW = "/workflows/<id>"
_INSTANCES = f"{_WORKFLOW}/worktiesInstances"
_INSTANCE = f"{_INSTANCES}/<worktyInstanceId>"
_NAME = {"name": "x"}
_PROPERTY = {"property": {"name": "x"}}


def _own(method: str, path: str, subject: str, body: Mapping[str, Any] | None = None) -> Row:
    """What belongs to somebody does not exist for another regular account."""
    return Row(method, path, subject, YES, HIDDEN, YES, body or {})


def _admins(method: str, path: str, subject: str, body: Mapping[str, Any] | None = None) -> Row:
    return Row(method, path, subject, FORBIDDEN, FORBIDDEN, YES, body or {})


def _all(method: str, path: str, subject: str, body: Mapping[str, Any] | None = None) -> Row:
    return Row(method, path, subject, YES, YES, YES, body or {})


def _list(path: str, subject: str) -> Row:
    return Row("GET", path, subject, LISTED, NOT_LISTED, LISTED)


ROWS: tuple[Row, ...] = (
    _all("POST", "/tokens", "token"),
    _all("DELETE", "/tokens/current", "token"),
    _list("/accounts", "account"),
    _admins("POST", "/accounts", "account", {"email": "new@mail"}),
    _own("GET", "/accounts/<id>", "account"),
    _own("PUT", "/accounts/<id>", "account", _NAME),
    _own("DELETE", "/accounts/<id>", "account"),
    _list("/payments", "payment"),
    _all("POST", "/payments", "template", {"worktyId": "<id>"}),
    _own("GET", "/payments/<id>", "payment"),
    _admins("PUT", "/payments/<id>", "payment", {"msg": "x"}),
    _admins("DELETE", "/payments/<id>", "payment"),
    _admins("GET", "/audit", "entry"),
    _list("/workties", "workty"),
    Row("GET", "/workties", "template", LISTED, LISTED, LISTED),
    _admins("POST", "/workties", "workty", _NAME),
    _own("GET", "/workties/<id>", "workty"),
    _all("GET", "/workties/<id>", "template"),
    _admins("PUT", "/workties/<id>", "workty", _NAME),
    _admins("DELETE", "/workties/<id>", "workty"),
    _own("GET", "/workties/<id>/versions", "workty"),
    _all("GET", "/workties/<id>/versions", "template"),
    _admins("POST", "/workties/<id>/properties", "workty", _PROPERTY),
    _admins("PUT", "/workties/<id>/properties/<propertyId>", "workty", _PROPERTY),
    _admins("DELETE", "/workties/<id>/properties/<propertyId>", "workty"),
    _list("/workflows", "workflow"),
    _all("POST", "/workflows", "workflow", _NAME),
    _own("GET", _WORKFLOW, "workflow"),
    _own("PUT", _WORKFLOW, "workflow", _NAME),
    _own("DELETE", _WORKFLOW, "workflow"),
    _own("PUT", f"{_WORKFLOW}/running", "workflow"),
    _own("DELETE", f"{_WORKFLOW}/running", "workflow"),
    _own("PUT", f"{_WORKFLOW}/pausing", "workflow"),
    _own("GET", _INSTANCES, "workflow"),
    _own("POST", _INSTANCES, "workflow", {"worktyId": "<template>"}),
    _own("GET", _INSTANCE, "workflow"),
    _own("PUT", _INSTANCE, "workflow", _NAME),
    _own("DELETE", _INSTANCE, "workflow"),
    _own("PUT", f"{_INSTANCE}/properties/<propertyId>", "workflow", {"value": 1}),
    _admins("GET", "/devices", "device"),
    _admins("POST", "/devices", "device", _NAME),
    _admins("GET", "/devices/<id>", "device"),
    _admins("PUT", "/devices/<id>", "device", {"desc": "x"}),
    _admins("DELETE", "/devices/<id>", "device"),
    _list("/runs", "run"),
    _own("GET", "/runs/<id>", "run"),
    _own("GET", "/runs/<id>/log", "run"),
    _own("GET", "/runs/<id>/explanation", "run"),
)

HEAD = """# Who may do what

Written by `python -m tests.unit.api.permissions` from the rows that the tests ask of a server. Paths are below
`/api/v1`; "owner" is the regular account that the entity belongs to, "other" another regular one. Without valid
credentials every row is 401. 403 (code 13): the role does not allow it; 404 (code 2): it does not exist for
this account.

| Method | Path | About | Owner | Other | Admin |
|---|---|---|---|---|---|
"""


def rendered() -> Iterator[str]:
    """The text of docs/permissions.md."""
    yield HEAD
    for row in ROWS:
        path = row.path.replace("<", "{").replace(">", "}")
        outcomes = " | ".join(outcome.value for outcome in (row.owner, row.other, row.admin))
        yield f"| {row.method} | `{path}` | {row.subject} | {outcomes} |\n"


if __name__ == "__main__":
    sys.stdout.writelines(rendered())
