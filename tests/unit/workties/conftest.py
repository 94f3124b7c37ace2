"""Programs that are started as boards start them."""

from __future__ import annotations

from tests.programs import start, states

__all__ = ["start", "states"]
