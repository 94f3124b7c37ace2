"""The operations of the contexts workflows, workties and uisettings as rows: what each must be given and needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

_WORKFLOW = {"workflow": {"id": "<workflow>"}}
_INSTANCE = {"workflow": {"id": "<workflow>", "worktyInstance": {"id": "<instance>", "name": "other"}}}
_PROPERTY = {"id": "<property>", "value": 5}
_TOOL = {"workty": {"id": "<tool>"}}
_OF_WORKFLOW, _OF_INSTANCE = "workflow.id", "workflow.worktyInstance.id"
_OF_PROPERTY = "workflow.worktyInstance.property.id"


@dataclass(frozen=True)
class Row:
    """One operation.

    Attributes:
        payload: one that succeeds; `<name>` stands for an id.
        missing: paths of what must be there and not be empty.
        codes: by the path of an id, the code if nothing has it.
    """

    event: str
    needs: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    codes: Mapping[str, int] = field(default_factory=dict)

    @property
    def context(self) -> str:
        """The context that the operation belongs to."""
        return next(context for context, rows in ROWS.items() if self in rows)

    def filled(self, ids: Mapping[str, str]) -> dict[str, Any]:
        """The payload with these ids."""
        found = _filled(self.payload, ids)
        assert isinstance(found, dict)
        return found


def _workflow(event: str, needs: str, code: int, **more: Any) -> Row:
    payload = {"workflow": {"id": "<workflow>", **more}}
    return Row(f"sv.workflow.{event}", needs, payload, (_OF_WORKFLOW,), {_OF_WORKFLOW: code})


def _workty(event: str, needs: str, code: int, **more: Any) -> Row:
    return Row(f"sv.workty.{event}", needs, {"workty": {"id": "<tool>", **more}}, ("workty.id",), {"workty.id": code})


def _property(event: str, code: int) -> Row:
    payload = {"workty": {"id": "<tool>", "property": {"id": "<toolProperty>", "value": 2}}}
    codes = {"workty.id": 2, "workty.property.id": code}
    return Row(f"sv.workty.{event}", "update", payload, tuple(codes), codes)


ROWS: Mapping[str, tuple[Row, ...]] = {
    "workflows": (
        Row("sv.workflow.refresh.all", "view"),
        _workflow("refresh", "view", 2),
        Row("sv.workflow.add", "create", {"workflow": {"name": "new"}}, ("workflow",)),
        _workflow("upd", "update", 3, name="other"),
        _workflow("run", "update", 2),
        _workflow("pause", "update", 2),
        _workflow("resume", "update", 2),
        _workflow("stop", "update", 2),
        Row(
            "sv.workflow.add.workty.instance",
            "update",
            {"workflow": {"id": "<workflow>", "worktyInstance": {"desc": "d"}}, "workty": {"id": "<template>"}},
            (_OF_WORKFLOW, "workflow.worktyInstance", "workty.id"),
            {_OF_WORKFLOW: 2, "workty.id": 2},
        ),
        Row(
            "sv.workflow.upd.workty.instance",
            "update",
            _INSTANCE,
            (_OF_WORKFLOW, _OF_INSTANCE),
            {_OF_WORKFLOW: 2, _OF_INSTANCE: 3},
        ),
        Row(
            "sv.workflow.upd.workty.instance.property",
            "update",
            {"workflow": {"id": "<workflow>", "worktyInstance": {"id": "<instance>", "property": _PROPERTY}}},
            (_OF_WORKFLOW, _OF_INSTANCE, _OF_PROPERTY),
            {_OF_WORKFLOW: 2, _OF_INSTANCE: 2, _OF_PROPERTY: 3},
        ),
        Row("sv.workflow.follow", "view", _WORKFLOW, (_OF_WORKFLOW,), {_OF_WORKFLOW: 2}),
        Row("sv.workflow.unfollow", "view", _WORKFLOW, (_OF_WORKFLOW,), {_OF_WORKFLOW: 2}),
        Row(
            "sv.workflow.del.workty.instance",
            "update",
            _INSTANCE,
            (_OF_WORKFLOW, _OF_INSTANCE),
            {_OF_WORKFLOW: 2, _OF_INSTANCE: 4},
        ),
        _workflow("del", "delete", 4),
    ),
    "workties": (
        Row("sv.workty.refresh.all", "view"),
        _workty("refresh", "view", 2),
        _workty("refresh.all.properties", "view", 2),
        Row("sv.workty.refresh.categories.all", "view"),
        Row("sv.workty.refresh.types.all", "view"),
        Row("sv.workty.refresh.language.types.all", "view"),
        Row("sv.workty.add", "create", {"workty": {"name": "new"}}, ("workty",)),
        _workty("upd", "update", 3, name="other"),
        Row(
            "sv.workty.add.property",
            "update",
            {"workty": {"id": "<tool>", "property": {"name": "p"}}},
            ("workty.id", "workty.property"),
            {"workty.id": 2},
        ),
        _property("upd.property", 3),
        _property("del.property", 4),
        _workty("del", "delete", 4),
    ),
    "uisettings": (
        Row("sv.uiSettings.load.workflow", "view", {"workflowId": "<workflow>"}, ("workflowId",), {"workflowId": 2}),
        Row(
            "sv.uiSettings.save.workflow",
            "update",
            {"workflowId": "<workflow>", "json": "{}"},
            ("workflowId",),
            {"workflowId": 2},
        ),
    ),
}

#: What may stand where something is required, and counts as nothing.
EMPTY = (None, "", 0, False, {}, [])


def without(payload: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The payload without the member at a path."""
    copy = deepcopy(dict(payload))
    *way, last = path.split(".")
    inner = copy
    for name in way:
        inner = inner[name]
    inner.pop(last, None)
    return copy


def replaced(payload: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """The payload with another value at a path."""
    copy = deepcopy(dict(payload))
    *way, last = path.split(".")
    inner = copy
    for name in way:
        inner = inner[name]
    inner[last] = value
    return copy


def objects(row: Row) -> Iterator[str]:
    """Paths of what must be an object in a row's payload."""
    for path in row.missing:
        parts = path.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts)))
        if parts[-1] in {"workflow", "worktyInstance", "workty", "property"}:
            yield path


def _filled(value: object, ids: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _filled(inner, ids) for name, inner in value.items()}
    if isinstance(value, str) and value.startswith("<"):
        return ids[value.strip("<>")]
    return value
