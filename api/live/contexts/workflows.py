"""Operations of the context `workflows`: workflows, the commands that run them, and their instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from api.live import payloads
from api.live.operations import Done, Operation, Request
from orchestrator.errors import BadParameter
from orchestrator.workflows.positions import POSITION
from orchestrator.workflows.reading import WORKFLOW

_CHANGED, _NAME = "sv.workflow.changed", "workflow"
_ID = f"{_NAME}.id"
_INSTANCE = f"{_NAME}.worktyInstance"
_INSTANCE_ID = f"{_INSTANCE}.id"
_PROPERTY = f"{_INSTANCE}.property"
_PROPERTY_ID = f"{_PROPERTY}.id"

#: What clients may say of a workflow and of an instance; they move instances over REST.
_FIELDS = ("name", "desc", "deadline")
_INSTANCE_FIELDS = ("name", "desc", "version", "policy")


def _refresh_all(request: Request) -> Done:
    found = request.services.workflows.overviews(request.actor, request.selection(WORKFLOW))
    return request.tell_all(_CHANGED, _NAME, [payloads.workflow(overview) for overview in found])


def _refresh(request: Request) -> Done:
    overview = request.services.workflows.overview(request.actor, request.at(_ID))
    return request.tell_all(_CHANGED, _NAME, [payloads.workflow(overview)])


def _add(request: Request) -> Done:
    return Done(added=str(request.services.workflows.create(request.actor, request.at(_NAME))["_id"]))


def _update(request: Request) -> None:
    request.services.workflows.change(request.actor, request.at(_ID), _only(request.at(_NAME), _FIELDS))


def _delete(request: Request) -> None:
    request.services.workflows.delete(request.actor, request.at(_ID))


def _run(request: Request) -> None:
    request.services.workflows.run(request.actor, request.at(_ID))


def _resume(request: Request) -> None:
    request.services.workflows.resume(request.actor, request.at(_ID))


def _pause(request: Request) -> None:
    request.services.workflows.pause(request.actor, request.at(_ID))


def _stop(request: Request) -> None:
    request.services.workflows.stop(request.actor, request.at(_ID))


def _add_instance(request: Request) -> None:
    body = _only(request.at(_NAME), POSITION) | _only(request.at(_INSTANCE), _INSTANCE_FIELDS)
    request.services.instances.add(request.actor, request.at(_ID), body | {"worktyId": request.at("workty.id")})


def _update_instance(request: Request) -> None:
    body = _only(request.at(_INSTANCE), _INSTANCE_FIELDS)
    request.services.instances.change(request.actor, request.at(_ID), request.at(_INSTANCE_ID), body)


def _delete_instance(request: Request) -> None:
    request.services.instances.remove(request.actor, request.at(_ID), request.at(_INSTANCE_ID))


def _update_property(request: Request) -> None:
    request.services.instances.change_property(
        request.actor, request.at(_ID), request.at(_INSTANCE_ID), request.at(_PROPERTY_ID), request.at(_PROPERTY)
    )


def _follow(request: Request) -> None:
    run, since, log_since = _run_id(request), _number(request, "since"), _number(request, "logSince")
    followed = request.services.workflows.run_to_follow(request.actor, request.at(_ID), run)
    request.session.follows.begin(_spelled(request), followed, named=run is not None, since=since, log_since=log_since)


def _unfollow(request: Request) -> None:
    request.services.workflows.get(request.actor, request.at(_ID))
    request.session.follows.end(_spelled(request))


def _only(body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: body[name] for name in names if name in body}


def _spelled(request: Request) -> str:
    """The id of the workflow as messages spell it."""
    return str(ObjectId(request.at(_ID)))


def _run_id(request: Request) -> str | None:
    """The id of the run that the client names; None if it names none. Raises `BadParameter`."""
    named = request.at("run")
    if not named:
        return None
    if not isinstance(named, dict) or not named.get("id"):
        raise BadParameter("run: expected an object with the id of a run")
    return named["id"]  # type: ignore[no-any-return]


def _number(request: Request, name: str) -> int | None:
    """A number of messages that the client has. Raises `BadParameter`."""
    found = request.at(name)
    if found is None or (isinstance(found, int) and not isinstance(found, bool) and found >= 0):
        return found
    raise BadParameter(f"{name}: expected a whole number from 0")


_IDS = {_ID: "workflow"}
_INSTANCE_IDS = {**_IDS, _INSTANCE_ID: "instance"}

OPERATIONS: Mapping[str, Operation] = {
    "sv.workflow.refresh.all": Operation(needs="view", perform=_refresh_all),
    "sv.workflow.refresh": Operation(needs="view", missing=(_ID,), ids=_IDS, perform=_refresh),
    "sv.workflow.add": Operation(needs="create", missing=(_NAME,), perform=_add),
    "sv.workflow.upd": Operation(needs="update", missing=(_ID,), ids=_IDS, codes={"workflow": 3}, perform=_update),
    "sv.workflow.del": Operation(needs="delete", missing=(_ID,), ids=_IDS, codes={"workflow": 4}, perform=_delete),
    "sv.workflow.run": Operation(needs="update", missing=(_ID,), ids=_IDS, perform=_run),
    "sv.workflow.resume": Operation(needs="update", missing=(_ID,), ids=_IDS, perform=_resume),
    "sv.workflow.pause": Operation(needs="update", missing=(_ID,), ids=_IDS, perform=_pause),
    "sv.workflow.stop": Operation(needs="update", missing=(_ID,), ids=_IDS, perform=_stop),
    "sv.workflow.add.workty.instance": Operation(
        needs="update",
        missing=(_ID, _INSTANCE, "workty.id"),
        ids={"workty.id": "workty", **_IDS},
        perform=_add_instance,
    ),
    "sv.workflow.upd.workty.instance": Operation(
        needs="update",
        missing=(_ID, _INSTANCE_ID),
        ids=_INSTANCE_IDS,
        codes={"instance": 3},
        perform=_update_instance,
    ),
    "sv.workflow.del.workty.instance": Operation(
        needs="update",
        missing=(_ID, _INSTANCE_ID),
        ids=_INSTANCE_IDS,
        codes={"instance": 4},
        perform=_delete_instance,
    ),
    "sv.workflow.upd.workty.instance.property": Operation(
        needs="update",
        missing=(_ID, _INSTANCE_ID, _PROPERTY_ID),
        ids={**_INSTANCE_IDS, _PROPERTY_ID: "property"},
        codes={"property": 3},
        perform=_update_property,
    ),
    "sv.workflow.follow": Operation(needs="view", missing=(_ID,), ids=_IDS, perform=_follow),
    "sv.workflow.unfollow": Operation(needs="view", missing=(_ID,), ids=_IDS, perform=_unfollow),
}
