"""Operations of the context `workties`: the catalogue, and the dictionaries that it refers to."""

from __future__ import annotations

from collections.abc import Mapping

from api.live import payloads
from api.live.operations import Done, Operation, Request
from api.live.reading import WORKTY_VIEW
from orchestrator.catalogue.service import WORKTY

_CHANGED, _NAME = "sv.workty.changed", "workty"
_ID = f"{_NAME}.id"
_PROPERTY = f"{_NAME}.property"
_PROPERTY_ID = f"{_PROPERTY}.id"


def _refresh_all(request: Request) -> Done:
    found = request.services.catalogue.find(request.actor, request.selection(WORKTY), WORKTY_VIEW)
    return request.tell_all(_CHANGED, _NAME, [payloads.workty(record) for record in found])


def _refresh(request: Request) -> Done:
    record = request.services.catalogue.get(request.actor, request.at(_ID), WORKTY_VIEW)
    return request.tell_all(_CHANGED, _NAME, [payloads.workty(record)])


def _categories(request: Request) -> Done:
    return _dictionary(request, "categories", "categoryId")


def _types(request: Request) -> Done:
    return _dictionary(request, "types", "typeId")


def _language_types(request: Request) -> Done:
    return _dictionary(request, "languageTypes", "languageTypeId")


def _dictionary(request: Request, name: str, field: str) -> Done:
    found = request.services.catalogue.dictionary(request.actor, field)
    request.tell(_CHANGED, {name: [payloads.entry(record) for record in found]})
    return Done(count=len(found))


def _add(request: Request) -> Done:
    return Done(added=str(request.services.editor.create(request.actor, request.at(_NAME))["_id"]))


def _update(request: Request) -> None:
    request.services.editor.change(request.actor, request.at(_ID), request.at(_NAME))


def _delete(request: Request) -> None:
    request.services.editor.delete(request.actor, request.at(_ID))


def _add_property(request: Request) -> None:
    request.services.workty_properties.add(request.actor, request.at(_ID), request.at(_NAME))


def _update_property(request: Request) -> None:
    request.services.workty_properties.change(
        request.actor, request.at(_ID), request.at(_PROPERTY_ID), request.at(_NAME)
    )


def _delete_property(request: Request) -> None:
    request.services.workty_properties.remove(request.actor, request.at(_ID), request.at(_PROPERTY_ID))


_IDS = {_ID: "workty"}
_PROPERTY_IDS = {**_IDS, _PROPERTY_ID: "property"}

OPERATIONS: Mapping[str, Operation] = {
    "sv.workty.refresh.all": Operation(needs="view", perform=_refresh_all),
    "sv.workty.refresh": Operation(needs="view", missing=(_ID,), ids=_IDS, perform=_refresh),
    "sv.workty.refresh.all.properties": Operation(needs="view", missing=(_ID,), ids=_IDS, perform=_refresh),
    "sv.workty.refresh.categories.all": Operation(needs="view", perform=_categories),
    "sv.workty.refresh.types.all": Operation(needs="view", perform=_types),
    "sv.workty.refresh.language.types.all": Operation(needs="view", perform=_language_types),
    "sv.workty.add": Operation(needs="create", missing=(_NAME,), perform=_add),
    "sv.workty.upd": Operation(needs="update", missing=(_ID,), ids=_IDS, codes={"workty": 3}, perform=_update),
    "sv.workty.del": Operation(needs="delete", missing=(_ID,), ids=_IDS, codes={"workty": 4}, perform=_delete),
    "sv.workty.add.property": Operation(needs="update", missing=(_ID, _PROPERTY), ids=_IDS, perform=_add_property),
    "sv.workty.upd.property": Operation(
        needs="update",
        missing=(_ID, _PROPERTY_ID),
        ids=_PROPERTY_IDS,
        codes={"property": 3},
        perform=_update_property,
    ),
    "sv.workty.del.property": Operation(
        needs="update",
        missing=(_ID, _PROPERTY_ID),
        ids=_PROPERTY_IDS,
        codes={"property": 4},
        perform=_delete_property,
    ),
}
