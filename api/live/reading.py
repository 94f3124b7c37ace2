"""Reads what is told about entities, through the services that REST uses as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from bson import ObjectId

from api.live import payloads
from api.live.payloads import Payload
from api.services import Services
from orchestrator.accounts.account import ADMIN, Account
from orchestrator.errors import NotFound
from orchestrator.live import EntityChange, EntityKind, LogWritten
from orchestrator.runs.replay import Replay
from orchestrator.selection import View

#: A workty as live clients see it.
WORKTY_VIEW = View(
    but=frozenset({"compressedCode"}),
    embed=frozenset({"type", "category", "languagetype", "validationstate", "properties"}),
)

_RESOURCES = ("accounts", "workflows", "workties", "devices", "payments", "uisettings")


def reader() -> Account:
    """An actor that sees everything, for telling owners what is theirs. It changes nothing."""
    allows = frozenset(product(_RESOURCES, ("view",)))
    return Account(id=ObjectId("0" * 24), name="", email="", roles=frozenset({ADMIN}), allows=allows)


class LiveReader:
    """Reads entities and runs for live clients."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._actor = reader()
        self._read: Mapping[EntityKind, Callable[[EntityChange], Payload]] = {
            EntityKind.ACCOUNT: lambda change: payloads.account(services.accounts.get(self._actor, change.id)),
            EntityKind.WORKFLOW: self._workflow,
            EntityKind.WORKTY: lambda change: payloads.workty(
                services.catalogue.get(self._actor, change.id, WORKTY_VIEW)
            ),
            EntityKind.BOARD: lambda change: payloads.device(services.boards.get(self._actor, change.id)),
            EntityKind.UI_SETTINGS: self._drawing,
            EntityKind.PAYMENT: lambda change: payloads.payment(services.payments.get(self._actor, change.id)),
        }

    def read(self, change: EntityChange) -> Payload | None:
        """An entity as it is now, with the instance that changed if it is about one; None if it is gone."""
        try:
            return self._read[change.kind](change)
        except NotFound:
            return None

    def changes(self, run: str, since: int | None) -> Replay | None:
        """Changes of state after the one numbered `since`; None if there is no such run."""
        return self._services.replays.after(run, since)

    def log(self, run: str, since: int, limit: int) -> Sequence[LogWritten]:
        """At most `limit` messages of output after the one numbered `since`."""
        return self._services.logs.after(run, since, limit)

    def log_range(self, run: str) -> tuple[int, int]:
        """Numbers of the first message of output that is kept (1 without any), and of the last one (0)."""
        last = self._services.logs.last_seq(run)
        return (self._services.logs.oldest_seq(run) if last else 1), last

    def snapshot(self, workflow: str) -> Payload | None:
        """A workflow with its run; None if it is gone."""
        try:
            return payloads.workflow(self._services.workflows.overview(self._actor, workflow))
        except NotFound:
            return None

    def _drawing(self, change: EntityChange) -> Payload:
        record = self._services.drawings.load(replace(self._actor, id=ObjectId(change.owner)), change.id)
        if record is None:
            raise NotFound("drawing")
        return payloads.drawing(record)

    def _workflow(self, change: EntityChange) -> Payload:
        about = payloads.workflow(self._services.workflows.overview(self._actor, change.id))
        if change.instance is None:
            return about
        if change.instance_deleted:
            inside = [found for found in about["worktiesInstances"] if found["id"] != change.instance]
            gone = {"id": change.instance, "worktyInstanceDeleted": True}
            return about | {"worktiesInstances": inside, "worktyInstance": gone}
        found = [found for found in about["worktiesInstances"] if found["id"] == change.instance]
        return about | {"worktyInstance": found[0]} if found else about
