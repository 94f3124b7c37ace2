"""Lengths of time and moments, in words for people. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def spelled(length: timedelta) -> str:
    """A length of time in its two largest units, e.g. `0.3 s`, `42 s`, `3 min 5 s`, `2 h`; never below zero."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    rest, parts = int(seconds), []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        parts.append(f"{count} {name}" if count else "")
    first = next(index for index, part in enumerate(parts) if part)
    return " ".join(part for part in parts[first : first + 2] if part)


def clock_text(moment: datetime) -> str:
    """A moment to the second, e.g. `2026-01-02 03:04:05 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
