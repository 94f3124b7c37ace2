"""How far the orchestrators are behind what boards say: when one of them had last read all events.

Kept in one entry of the collection `settings`, which every orchestrator writes with each sweep.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo.database import Database

_ENTRY = {"_id": "events-read"}


class Pulse:
    """The moment up to which events have been read, by whichever orchestrator was furthest."""

    def __init__(self, db: Database[dict[str, Any]]) -> None:
        self._settings = db["settings"]

    def note(self, read: datetime) -> None:
        """All events up to this moment have been read."""
        self._settings.update_one(_ENTRY, {"$max": {"read": read}}, upsert=True)

    def lag(self, now: datetime) -> float | None:
        """Seconds since all events had been read; some seconds are usual. None if no orchestrator ever ran."""
        found = self._settings.find_one(_ENTRY)
        return None if found is None else max(0.0, (now - found["read"]).total_seconds())
