"""Programs that are started as boards start them."""

from __future__ import annotations

from tests.programs import java, nodejs, start, states

__all__ = ["java", "nodejs", "start", "states"]
