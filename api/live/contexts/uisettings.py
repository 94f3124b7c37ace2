"""Operations of the context `uisettings`: how the account's clients draw a workflow."""

from __future__ import annotations

from collections.abc import Mapping

from api.live import payloads
from api.live.operations import Done, Operation, Request

_CHANGED, _NAME, _ID = "sv.uiSettings.changed", "uiSettings", "workflowId"


def _load(request: Request) -> Done:
    record = request.services.drawings.load(request.actor, request.at(_ID))
    return request.tell_all(_CHANGED, _NAME, [] if record is None else [payloads.drawing(record)])


def _save(request: Request) -> None:
    request.services.drawings.save(request.actor, request.at(_ID), request.at("json"))


OPERATIONS: Mapping[str, Operation] = {
    "sv.uiSettings.load.workflow": Operation(needs="view", missing=(_ID,), ids={_ID: "workflow"}, perform=_load),
    "sv.uiSettings.save.workflow": Operation(needs="update", missing=(_ID,), ids={_ID: "workflow"}, perform=_save),
}
